/** The commands of a runbook: its fenced `sh` blocks, run one after the other in one shell, as a person would. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";

export interface Block {
  /** The heading that it stands below. */
  readonly heading: string;
  readonly commands: string;
}

export async function readBlocks(file: string): Promise<Block[]> {
  const blocks: Block[] = [];
  let heading = "";
  let open: string[] | undefined;
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    if (open === undefined && line.startsWith("#")) heading = line.replace(/^#+ /, "");
    if (line === "```sh") open = [];
    else if (line.startsWith("```") && open !== undefined) {
      blocks.push({ heading, commands: `${open.join("\n")}\n` });
      open = undefined;
    } else open?.push(line);
  }
  return blocks;
}

/** A shell that ends at the first command that fails. */
export class Shell {
  readonly #child: ChildProcess;
  #said = "";
  #number = 0;

  constructor(cwd: string, env: Readonly<Record<string, string>>) {
    this.#child = spawn("bash", ["-euo", "pipefail"], { cwd, env, stdio: "pipe" });
    const hear = (chunk: Buffer): void => {
      this.#said = (this.#said + chunk.toString("utf8")).slice(-1_048_576);
    };
    this.#child.stdout?.on("data", hear);
    this.#child.stderr?.on("data", hear);
    this.#child.stdin?.on("error", () => undefined);
  }

  /** Resolves to what the commands printed; rejects with it where one of them failed. */
  async run(commands: string, timeoutMs = 60_000): Promise<string> {
    const end = `end of block ${++this.#number}`;
    this.#said = "";
    this.#child.stdin?.write(`${commands}\necho '${end}'\n`);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    try {
      while (!this.#said.includes(end)) {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
          throw new Error(`a command failed:\n${commands}\n${this.#said}`);
        }
        const abort = new AbortController();
        const { signal } = abort;
        await Promise.race([
          once(this.#child.stdout!, "data", { signal }),
          once(this.#child, "close", { signal }),
        ]).finally(() => abort.abort());
      }
    } finally {
      clearTimeout(timer);
    }
    return this.#said.replace(`${end}\n`, "");
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.stdin?.end();
    await once(this.#child, "close");
  }
}
