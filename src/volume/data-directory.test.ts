/** Which directories are opened, and what is said about those that are not. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { StoreError } from "../core/errors.ts";
import type { Depth } from "../core/layout.ts";
import { nodeRandom } from "../env/node-clock.ts";
import { nodeDisk } from "../env/node-disk.ts";
import { type DataDirectory, openDataDirectory } from "./data-directory.ts";

const base = mkdtempSync(path.join(os.tmpdir(), "data-directory-"));
afterAll(() => rmSync(base, { recursive: true }));
const newRoot = (): string => mkdtempSync(path.join(base, "d"));

const open = (root: string, depth?: Depth): Promise<DataDirectory> =>
  openDataDirectory(nodeDisk, nodeRandom, { root, depth, depthDefault: 4 });

async function refusalOf(opening: Promise<DataDirectory>): Promise<{ code: string; message: string }> {
  try {
    const { lock } = await opening;
    await lock.release();
  } catch (error) {
    if (error instanceof StoreError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was opened");
}

describe("a directory that is new", () => {
  it("gets a marker with format, depth and an id, and keeps them", async () => {
    const root = path.join(newRoot(), "made", "on the way");
    const first = await open(root, 3);
    const marker = JSON.parse(readFileSync(path.join(root, "data-putter.json"), "utf8")) as unknown;
    expect(marker).toEqual({ format: 1, depth: 3, id: first.id, check: expect.stringMatching(/^[0-9a-f]{8}$/) });
    expect(first.id).toMatch(/^[0-9a-f]{16}$/);
    await first.lock.release();
    const again = await open(root);
    expect([again.depth, again.id]).toEqual([3, first.id]);
    await again.lock.release();
  });

  it("has the default depth where none is asked for", async () => {
    const directory = await open(newRoot());
    expect(directory.depth).toBe(4);
    await directory.lock.release();
  });
});

describe("a directory that does not fit", () => {
  it("of another depth: directory, both depths, and what to do", async () => {
    const root = newRoot();
    await (await open(root, 3)).lock.release();
    const { code, message } = await refusalOf(open(root, 2));
    expect(code).toBe("INCOMPATIBLE");
    expect(message).toContain(`${root} has depth 3, not 2`);
    await (await open(root, 3)).lock.release();
  });

  it("of a newer format: file, both formats, and what to do", async () => {
    const root = newRoot();
    writeFileSync(path.join(root, "data-putter.json"), '{"format":2,"depth":2,"id":"0123456789abcdef","more":1}\n');
    const { code, message } = await refusalOf(open(root));
    expect(code).toBe("INCOMPATIBLE");
    expect(message).toContain(`${root}/data-putter.json has format 2, this program knows 1`);
  });

  it.each([
    ["", "it must be JSON"],
    ["\0\0\0\0", "it must be JSON"],
    ['{"format":1,"depth":2', "it must be JSON"],
    ["null", "it must be an object"],
    ['{"depth":2,"id":"0123456789abcdef"}', "format must be a number"],
    ['{"format":1,"depth":1,"id":"0123456789abcdef"}', "depth must be 2, 3 or 4"],
    ['{"format":1,"depth":"2","id":"0123456789abcdef"}', "depth must be 2, 3 or 4"],
    ['{"format":1,"depth":2,"id":"0123456789ABCDEF"}', "id must be 16 hex digits"],
    ['{"format":1,"depth":2}', "id must be 16 hex digits"],
    ['{"format":1,"depth":3,"id":"0123456789abcdef","check":"00000000"}', "check does not fit the other fields"],
  ])("with the damaged marker %j: file, rule and what it found", async (text, rule) => {
    const root = newRoot();
    const file = path.join(root, "data-putter.json");
    writeFileSync(file, text);
    const { code, message } = await refusalOf(open(root));
    expect(code).toBe("INCOMPATIBLE");
    expect(message).toBe(
      `${root}/data-putter.json is damaged (${rule}): ${JSON.stringify(text)}; see docs/runbooks/small-files.md`,
    );
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  it.each(["obj", "AA", "Z"])("with %s but without a marker: its depth is not guessed", async (name) => {
    const root = newRoot();
    mkdirSync(path.join(root, "lost+found"));
    await (await open(root)).lock.release();
    rmSync(path.join(root, "data-putter.json"));
    mkdirSync(path.join(root, name));
    const { code, message } = await refusalOf(open(root));
    expect(code).toBe("INCOMPATIBLE");
    expect(message).toContain(`${root} holds ${name} but no data-putter.json`);
  });

  it("that is a file, or below one", async () => {
    const file = path.join(newRoot(), "file");
    writeFileSync(file, "");
    for (const root of [file, path.join(file, "below")]) {
      const { code, message } = await refusalOf(open(root));
      expect(code).toBe("UNAVAILABLE");
      expect(message).toContain(`${root} cannot be used for data: `);
    }
  });

  it("that is read-only, simulated: directory and reason", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a");
    const { disk, random } = machine.start();
    machine.disk.readOnly = true;
    const opening = openDataDirectory(disk, random, { root: "/data", depth: 2, depthDefault: 2 });
    const { code, message } = await refusalOf(simulation.clock.run(opening));
    expect(code).toBe("UNAVAILABLE");
    expect(message).toContain("/data cannot be used for data: EROFS");
  });

  it("on a full disk: nothing half-made stays in the way", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a", { capacity: 0 });
    const { disk, random } = machine.start();
    const attempt = (): Promise<DataDirectory> =>
      simulation.clock.run(openDataDirectory(disk, random, { root: "/data", depth: 2, depthDefault: 2 }));
    const { code, message } = await refusalOf(attempt());
    expect(code).toBe("UNAVAILABLE");
    expect(message).toContain("/data cannot be used for data: ENOSPC");
    machine.disk.capacity = 1_000_000;
    expect((await attempt()).depth).toBe(2);
  });

  it("that is read-only, mounted so", async (context) => {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
      console.warn("SKIPPED: only root on Linux can mount; a real read-only file system was not tried");
      context.skip();
    }
    const mount = newRoot();
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", mount]);
    try {
      const { code, message } = await refusalOf(open(mount));
      expect(code).toBe("UNAVAILABLE");
      expect(message).toContain(`${mount} cannot be used for data: `);
      expect(message).toContain("EROFS");
    } finally {
      execFileSync("umount", ["-l", mount]);
    }
  });
});

/** Another process that opens a directory as this program does, and holds it. */
function holdElsewhere(root: string): Promise<{ child: ChildProcess; kill: () => Promise<void> }> {
  const listen = `
    const net = require("node:net"), path = require("node:path");
    net.createServer((socket) => socket.destroy()).listen(process.argv[1], () => console.log("held"));
  `;
  const child = spawn(process.execPath, ["-e", listen, path.join(root, "lock")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = (): Promise<void> =>
    new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
    });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.stdout.once("data", () => resolve({ child, kill }));
  });
}

describe("one process to a directory", () => {
  it("a second opening in the same process is refused, by any path", async () => {
    const root = newRoot();
    const link = `${root}-link`;
    symlinkSync(root, link);
    const first = await open(root);
    for (const again of [root, `${root}/`, link]) {
      const { code, message } = await refusalOf(open(again));
      expect(code).toBe("INCOMPATIBLE");
      expect(message).toContain("is in use by another data-putter process");
    }
    await first.lock.release();
    await (await open(root)).lock.release();
  });

  it("while another process lives it is refused; after kill -9 it is opened", async () => {
    const root = newRoot();
    await (await open(root)).lock.release();
    const { kill } = await holdElsewhere(root);
    expect((await refusalOf(open(root))).message).toContain(`${root} is in use by another data-putter process`);
    expect((await refusalOf(open(root))).code).toBe("INCOMPATIBLE");
    await kill();
    const opened = await open(root);
    expect((await refusalOf(open(root))).code).toBe("INCOMPATIBLE");
    await opened.lock.release();
  });

  it("of many that come after a kill -9, one gets it", async () => {
    const root = newRoot();
    await (await open(root)).lock.release();
    for (let round = 0; round < 5; round++) {
      const { kill } = await holdElsewhere(root);
      await kill();
      const openings = await Promise.allSettled([open(root), open(root)]);
      const got = openings.flatMap((opening) => (opening.status === "fulfilled" ? [opening.value] : []));
      expect(got.length).toBe(1);
      await got[0]!.lock.release();
    }
  });

  it("a path longer than a socket's may be is locked all the same", async () => {
    const root = path.join(newRoot(), "x".repeat(90), "y".repeat(90));
    const first = await open(root);
    expect((await refusalOf(open(root))).code).toBe("INCOMPATIBLE");
    await first.lock.release();
    await (await open(root)).lock.release();
  });

  it("an opening that fails gives the directory back", async () => {
    const root = newRoot();
    writeFileSync(path.join(root, "data-putter.json"), "damaged");
    expect((await refusalOf(open(root))).code).toBe("INCOMPATIBLE");
    rmSync(path.join(root, "data-putter.json"));
    await (await open(root)).lock.release();
  });
});
