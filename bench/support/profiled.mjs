/** Loaded into a server before its own program (--import): lets it be asked for a profile, and never keeps it alive. */
import { answer } from "./answer.mjs";

answer({});
process.channel?.unref();
