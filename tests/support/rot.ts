/** A damaged store read by a process of its own, which the damage may end. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { projectRoot } from "./program.ts";

export interface Said {
  /** Why it did not open. */
  readonly refused: string | undefined;
  readonly right: number;
  readonly errors: readonly string[];
  readonly wrong: readonly string[];
}

/** Reads what the file `expected` names from the store in `root`; undefined where the damage ended the process. */
export function readAll(root: string, expected: string): Said | undefined {
  const script = path.join(projectRoot, "tests", "support", "rot-child.mjs");
  const args = [script, path.join(projectRoot, "dist"), root, expected];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  return status === 0 && stdout !== "" ? (JSON.parse(stdout) as Said) : undefined;
}
