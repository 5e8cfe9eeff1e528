/** `bench`: the benchmarks, where this is the source tree. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { StoreError } from "../core/errors.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { withStop } from "./signals.ts";

export const bench: Command = {
  name: "bench",
  operands: "[ARGUMENT...]",
  summary: "run the benchmarks, each figure beside its baseline",
  description: `Runs bench/main.mjs of the source tree, with the arguments as given (the installed package does not have it). The figures
compare only within one run: the machine counts.`,
  examples: [["bench", "all of them"]],
  run: runBench,
};

function runBench({ operands }: CommandContext): Promise<ExitCode> {
  const script = fileURLToPath(new URL("../../bench/main.mjs", import.meta.url));
  if (!existsSync(script))
    throw new StoreError("NOT_FOUND", "bench/main.mjs is not here: the benchmarks are in the source tree");
  // A signal from the terminal reaches both; this side waits until the other has ended.
  return withStop((stop) => {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [script, ...operands], { stdio: "inherit" });
      stop.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
      child.once("error", reject);
      child.once("exit", (code) => resolve(code === 0 ? ExitCode.ok : ExitCode.failed));
    });
  });
}
