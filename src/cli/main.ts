/** What bin/data-putter.cjs loads: runs this process's command line. */
import { run } from "./program.ts";

process.exitCode = await run(process.argv.slice(2));
