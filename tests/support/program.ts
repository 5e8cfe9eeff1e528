/**
 * The built program as processes of its own, for tests: what somebody types in a shell, on free ports, in directories
 * of its own. Nothing of the surroundings' own settings gets in.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const executable = path.join(projectRoot, "bin", "data-putter.cjs");

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
  readonly timeoutMs?: number;
}

/** A directory for one test file, with an installed `data-putter` in its `bin`; `remove` ends what still runs in it. */
export class Workplace {
  readonly directory: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** `program` is what `data-putter` stands for. */
  static async make(program = executable): Promise<Workplace> {
    const place = new Workplace(await mkdtemp(path.join(tmpdir(), "data-putter-test-")));
    await mkdir(path.join(place.directory, "bin"));
    await symlink(program, path.join(place.directory, "bin", "data-putter"));
    return place;
  }

  /** A new, empty directory. */
  async folder(name: string): Promise<string> {
    const folder = path.join(this.directory, name);
    await mkdir(folder, { recursive: true });
    return folder;
  }

  environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    const kept = Object.entries(process.env).filter(
      ([name, value]) => value !== undefined && !/^(DATA_PUTTER_|AWS_|RCLONE_|RESTIC_|REDIS_HOSTPORT$)/.test(name),
    );
    const search = `${path.join(this.directory, "bin")}${path.delimiter}${process.env["PATH"] ?? ""}`;
    // A router's S3 port is free too, unless a test says which: two of them run at a time.
    return {
      ...(Object.fromEntries(kept) as Record<string, string>),
      PATH: search,
      DATA_PUTTER_S3_PORT: "0",
      ...extra,
    };
  }

  /** Runs something to its end. */
  async run(command: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
    const child = spawn(command, args, { cwd: options.cwd, env: this.environment(options.env), stdio: "pipe" });
    this.#running.add(child);
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 60_000);
    // A program that does not read its input is no failure of this test.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? new Uint8Array(0));
    const [stdout, stderr] = [gather(child, "stdout"), gather(child, "stderr")];
    const [code] = (await once(child, "close")) as [number | null];
    clearTimeout(timer);
    this.#running.delete(child);
    return { code, stdout: stdout(), stderr: stderr() };
  }

  /** As `run`, but anything but exit code 0 is an error that shows what was said. */
  async done(command: string, args: readonly string[], options: RunOptions): Promise<string> {
    const outcome = await this.run(command, args, options);
    if (outcome.code !== 0) {
      const said = `${outcome.stdout}${outcome.stderr}`.trim();
      throw new Error(`${command} ${args.join(" ")} ended with ${outcome.code}: ${said}`);
    }
    return outcome.stdout;
  }

  /** Starts something that goes on, and waits until it has printed what `ready` matches. Its children end with it. */
  async start(
    command: string,
    args: readonly string[],
    options: RunOptions & { readonly ready: RegExp },
  ): Promise<Service> {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: this.environment(options.env),
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what npm starts is ended with it.
      detached: true,
    });
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    const [stdout, stderr] = [gather(child, "stdout"), gather(child, "stderr")];
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        signalGroup(child, "SIGKILL");
        reject(new Error(`${command} ${args.join(" ")} ${why}: ${stdout()}${stderr()}`));
      };
      const timer = setTimeout(() => fail("did not become ready"), options.timeoutMs ?? 30_000);
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code) => fail(`ended with ${code}`));
      child.stdout.on("data", () => {
        if (!options.ready.test(stdout())) return;
        clearTimeout(timer);
        child.removeAllListeners("exit");
        child.once("exit", () => this.#running.delete(child));
        resolve();
      });
    });
    return new Service(child, stdout, stderr);
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#running].map((child) => end(child, "SIGKILL")));
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What `start` has started. */
export class Service {
  readonly #child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;

  constructor(child: ChildProcess, stdout: () => string, stderr: () => string) {
    this.#child = child;
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** As Ctrl-C or `docker stop`; resolves to the exit code. */
  stop(): Promise<number | null> {
    return end(this.#child, "SIGTERM");
  }

  /** As in a crash. */
  async kill(): Promise<void> {
    await end(this.#child, "SIGKILL");
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exited = once(child, "exit");
  signalGroup(child, signal);
  const patience = setTimeout(() => signalGroup(child, "SIGKILL"), 20_000);
  await exited;
  clearTimeout(patience);
  return child.exitCode;
}

/** To a process of `start` and to what it has started; to a process of `run` alone. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

/** All that a child prints, the last megabyte of it. */
function gather(child: ChildProcess, stream: "stdout" | "stderr"): () => string {
  let said = "";
  child[stream]?.on("data", (chunk: Buffer) => (said = (said + chunk.toString("utf8")).slice(-1_048_576)));
  return () => said;
}

const portsGiven = new Set<number>();

/**
 * A port that nothing listens on. Not one that the system hands to clients (ip_local_port_range): while who has it is away,
 * another program's connection, or its own client's, could get that one.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 30_000);
    if (portsGiven.has(port)) continue;
    const server = createServer().listen(port);
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    portsGiven.add(port);
    server.close();
    await once(server, "close");
    return port;
  }
}

/** Bytes that differ from place to place, the same for the same seed. */
export function someBytes(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = (seed + 1) * 2_654_435_761;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
