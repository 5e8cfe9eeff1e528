/** Compiles the simulator with the product's sources, as they are, to dist.sim/ and runs it: `npm run sim -- --help` is in sim/main.ts. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const target = path.join(root, "dist.sim");
const compiler = path.join(root, "node_modules/typescript/bin/tsc");
execFileSync(process.execPath, [compiler, "-p", "tsconfig.sim.json", "--outDir", target], {
  cwd: root,
  stdio: "inherit",
});
writeFileSync(path.join(target, "package.json"), '{ "type": "module" }\n');
await import(pathToFileURL(path.join(target, "sim/main.js")).href);
