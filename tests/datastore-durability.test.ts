/**
 * That a commit of the embedded store is on disk before its promise resolves, seen from the system's side: strace (Debian
 * package `strace`) watches a child that commits and then writes a marker. Where there is no strace the test is skipped
 * aloud; in CI that is a failure.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

function hasStrace(): boolean {
  const isThere = spawnSync("strace", ["-e", "trace=none", "true"]).status === 0;
  if (!isThere && process.env["CI"] !== undefined)
    throw new Error("strace is not installed, or may not be used, in CI");
  if (!isThere) console.warn("SKIPPED: strace cannot be used, nobody looks whether commits reach the disk");
  return isThere;
}

/** One system call on data.mdb, or a marker. */
interface Call {
  readonly name: string;
  readonly descriptor: number | undefined;
  readonly text: string;
}

describe.skipIf(!hasStrace())("the embedded datastore's commits, seen by strace", () => {
  let directory: string;
  let compiled: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "durability-"));
    compiled = await compile();
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
    await rm(compiled, { recursive: true, force: true });
  });

  const watch = async (durability: "disk" | "os", ...inject: string[]): Promise<{ calls: Call[]; output: string }> => {
    const trace = join(directory, `trace-${durability}-${inject.length}`);
    const store = join(directory, `store-${durability}-${inject.length}`);
    const which = "trace=openat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,msync,sync_file_range";
    const options = ["-f", "-qq", "-s", "64", "-e", which, "-e", "signal=none", ...inject, "-o", trace];
    const script = fileURLToPath(new URL("support/commit-child.mjs", import.meta.url));
    const child = [process.execPath, script, compiled, store, durability];
    const { stdout } = await promisify(execFile)("strace", [...options, ...child]);
    return { calls: callsOn(await readFile(trace, "utf8")), output: stdout };
  };

  test("each resolves only after its pages, and the page that makes them valid, are on disk", async () => {
    const { calls, output } = await watch("disk");
    expect(output).toBe("MARKER 0\nMARKER 1\nMARKER 2\n");
    const { synced, commits } = judge(calls);
    expect(commits).toEqual([
      { marker: 0, hasWritten: true, isOnDisk: true },
      { marker: 1, hasWritten: true, isOnDisk: true },
      { marker: 2, hasWritten: true, isOnDisk: true },
    ]);
    expect(synced).toBeGreaterThanOrEqual(3);
  });

  test("with durability os nothing waits for the disk (so the test above can tell)", async () => {
    const { calls, output } = await watch("os");
    expect(output).toBe("MARKER 0\nMARKER 1\nMARKER 2\n");
    const { commits } = judge(calls);
    expect(commits.map((commit) => commit.hasWritten)).toEqual([true, true, true]);
    expect(commits.map((commit) => commit.isOnDisk)).toEqual([false, false, false]);
  });

  test("a sync that fails fails the commits that waited for it; they are not there, and later ones work", async () => {
    // The child's own syncs while opening come first; which of them is failed is found by trying.
    const outputs: string[] = [];
    for (let when = 1; when <= 6; when++) {
      const inject = Array.from({ length: when }, () => ["-e", `inject=fdatasync:error=EIO:when=${when}`]).flat();
      try {
        outputs.push((await watch("disk", ...inject)).output);
      } catch {
        outputs.push("could not be opened");
      }
    }
    expect(outputs).toContain("UNAVAILABLE 0, absent\nMARKER 1\nMARKER 2\n");
    expect(outputs).toContain("MARKER 0\nUNAVAILABLE 1, absent\nMARKER 2\n");
  });
});

/**
 * For each marker: whether data.mdb was written since the one before, and whether every such write was followed by a
 * sync of the file before the marker, or went through a descriptor that writes synchronously.
 */
function judge(calls: readonly Call[]): {
  synced: number;
  commits: { marker: number; hasWritten: boolean; isOnDisk: boolean }[];
} {
  const synchronous = new Set<number>();
  const commits: { marker: number; hasWritten: boolean; isOnDisk: boolean }[] = [];
  let synced = 0;
  let hasWritten = false;
  let unsynced = 0;
  for (const { name, descriptor, text } of calls) {
    if (name === "openat") {
      if (/O_DSYNC|O_SYNC/.test(text)) synchronous.add(descriptor!);
    } else if (name === "marker") {
      commits.push({ marker: descriptor!, hasWritten, isOnDisk: unsynced === 0 });
      hasWritten = false;
      unsynced = 0;
    } else if (/^(fsync|fdatasync|msync)$/.test(name)) {
      unsynced = 0;
      synced++;
    } else {
      hasWritten = true;
      if (!synchronous.has(descriptor!)) unsynced++;
    }
  }
  return { synced, commits };
}

/** The calls that concern data.mdb, and the markers, in the order in which they were completed. */
function callsOn(trace: string): Call[] {
  const descriptors = new Set<number>();
  const unfinished = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of trace.split("\n")) {
    const thread = line.split(" ", 1)[0]!;
    let text = line.slice(thread.length).trim();
    if (text.endsWith("<unfinished ...>")) {
      unfinished.set(thread, text.replace("<unfinished ...>", ""));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    if (resumed !== null) text = (unfinished.get(thread) ?? "") + resumed[1]!;
    const name = /^(\w+)\(/.exec(text)?.[1];
    if (name === undefined) continue;
    if (name === "openat") {
      const opened = /data\.mdb".*= (\d+)/.exec(text);
      if (opened === null) continue;
      descriptors.add(Number(opened[1]));
      calls.push({ name, descriptor: Number(opened[1]), text });
      continue;
    }
    const marker = /^write\(1, "MARKER (\d)/.exec(text);
    if (marker !== null) calls.push({ name: "marker", descriptor: Number(marker[1]), text });
    const descriptor = Number(/^\w+\((\d+)/.exec(text)?.[1]);
    if (name !== "msync" && !descriptors.has(descriptor)) continue;
    if (/= -1 /.test(text)) continue;
    calls.push({ name, descriptor, text });
  }
  return calls;
}

/** Compiles the sources as they are now, to where they find their packages. */
async function compile(): Promise<string> {
  const into = fileURLToPath(new URL(`../node_modules/.cache/durability-${process.pid}`, import.meta.url));
  const compiler = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
  const options = [
    "-p",
    "tsconfig.build.json",
    "--outDir",
    into,
    "--declaration",
    "false",
    "--sourceMap",
    "false",
    "--noCheck",
  ];
  await promisify(execFile)(process.execPath, [compiler, ...options], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
  });
  return into;
}
