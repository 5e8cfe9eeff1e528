/** Trouble for a running program: a small disk, system calls that fail for a while, no descriptors left. Needs root on Linux. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether this machine lets a test do that. In CI it has to. */
export function canTroubleTheMachine(): boolean {
  const needed = [
    ["strace", "-e", "trace=none", "true"],
    ["prlimit", "--version"],
    ["mount", "--version"],
  ] as const;
  const missing = needed.filter(([command, ...args]) => spawnSync(command, args).status !== 0).map(([name]) => name);
  if (process.getuid?.() === 0 && missing.length === 0) return true;
  const why = `not root on Linux, or without ${missing.join(", ")}`;
  if (process.env["CI"] !== undefined) throw new Error(`nobody looks at failing disks: ${why}`);
  console.warn(`SKIPPED: nobody looks at failing disks: ${why}`);
  return false;
}

/** A file system of its own with so much room, in memory. */
export class SmallDisk {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async mount(directory: string, megabytes: number): Promise<SmallDisk> {
    await mkdir(directory, { recursive: true });
    await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "data-putter-test", directory]);
    return new SmallDisk(directory);
  }

  async resize(megabytes: number): Promise<void> {
    await run("mount", ["-o", `remount,size=${megabytes}m`, this.directory]);
  }

  async unmount(): Promise<void> {
    await run("umount", ["-l", this.directory]);
  }
}

/** System calls that change what is on a disk, but for those that serve sockets, too, and opening, which serves reading. */
export const writingCalls =
  "pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir";
export const syncCalls = "fsync,fdatasync,sync_file_range,msync";

/** From `begin` to `end` these system calls of a running process fail; with `path`, those on that file alone. */
export class FailingCalls {
  readonly #strace: ChildProcess;
  readonly #record: string;

  private constructor(strace: ChildProcess, record: string) {
    this.#strace = strace;
    this.#record = record;
  }

  static async begin(
    pid: number,
    calls: string,
    error: string,
    { path, record = "/dev/null" }: { readonly path?: string; readonly record?: string } = {},
  ): Promise<FailingCalls> {
    const args = ["-f", "-qq", "-o", record, "-e", `trace=${calls}`, "-e", `inject=${calls}:error=${error}`];
    if (path !== undefined) args.push("-P", path);
    const strace = spawn("strace", [...args, "-p", String(pid)], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    strace.stderr.on("data", (text: Buffer) => (said += text.toString()));
    for (const until = Date.now() + 10_000; !isTraced(pid);) {
      if (strace.exitCode !== null || Date.now() > until) throw new Error(`strace did not attach: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return new FailingCalls(strace, record);
  }

  /** How many calls have failed so far, where a `record` was asked for. */
  count(): number {
    return readFileSync(this.#record, "latin1").split("(INJECTED)").length - 1;
  }

  async end(): Promise<void> {
    if (this.#strace.exitCode !== null || this.#strace.signalCode !== null) return;
    const ended = once(this.#strace, "exit");
    this.#strace.kill("SIGINT");
    await ended;
  }
}

function isTraced(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => tracerOf(pid, thread) !== 0);
}

function tracerOf(pid: number, thread: string): number {
  const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
  return Number(/^TracerPid:\s+(\d+)/m.exec(status)![1]);
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export async function limitDescriptors(pid: number, most: number): Promise<void> {
  await run("prlimit", ["--pid", String(pid), `--nofile=${most}:`]);
}
