/**
 * The runbooks' commands, run as they stand there (with another folder than /srv/objects), in the situation that they are
 * for: a small disk that is full, a key that is gone.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { mkdtemp, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort, projectRoot, type Service, someBytes, Workplace } from "../support/program.ts";
import { type Block, readBlocks, Shell } from "../support/runbook.ts";

const megabyte = 1_000_000;
let place: Workplace;
let env: Record<string, string>;
let home: string;

beforeAll(async () => {
  place = await Workplace.make();
});

afterAll(async () => {
  await place.remove();
});

beforeEach(async () => {
  home = await mkdtemp(path.join(place.directory, "home-"));
  const [port, responsePort] = [String(await freePort()), String(await freePort())];
  env = { DATA_PUTTER_PORT: port, DATA_PUTTER_RESPONSE_PORT: responsePort };
});

const startRouter = (root: string): Promise<Service> =>
  place.start("data-putter", ["router", "--root", root], { cwd: home, env, ready: /key fingerprint/ });

/** Stores bytes that follow from `seed`; resolves to the ObjectID, or to what was said instead. */
async function put(size: number, seed: number): Promise<string> {
  const file = path.join(home, `file-${seed}`);
  await writeFile(file, someBytes(size, seed));
  const outcome = await place.run("data-putter", ["put", file], { cwd: home, env });
  return outcome.code === 0 ? outcome.stdout.split(" ")[0]! : outcome.stderr;
}

/** Stores objects of these sizes, the first one from seed 0; they become 0, 1, 2, … */
async function storeAll(sizes: readonly number[]): Promise<string[]> {
  const files = sizes.map((_, seed) => path.join(home, `file-${seed}`));
  await Promise.all(files.map((file, seed) => writeFile(file, someBytes(sizes[seed]!, seed))));
  const lines = await place.done("data-putter", ["put", ...files], { cwd: home, env });
  return lines
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0]!);
}

async function get(object: string, keyFile: string): Promise<Buffer> {
  const back = path.join(home, `back-${object}`);
  await place.done("data-putter", ["get", object, "-o", back, "--key-file", keyFile], { cwd: home, env });
  return readFile(back);
}

/** A shell in the home folder, where `data-putter` finds this test's router. */
function openShell(): Shell {
  return new Shell(home, place.environment({ ...env, HOME: home }));
}

async function blocksOf(name: string, root: string): Promise<Block[]> {
  const blocks = await readBlocks(path.join(projectRoot, "docs", "runbooks", name));
  return blocks.map(({ heading, commands }) => ({ heading, commands: commands.replaceAll("/srv/objects", root) }));
}

/** Asks again until it is so; fails after half a minute. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not within 60 s: ${what}`);
    await delay(250);
  }
}

const diskSize = 96;

function mountTmpfs(folder: string): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  mkdirSync(folder, { recursive: true });
  return spawnSync("mount", ["-t", "tmpfs", "-o", `size=${diskSize}m`, "tmpfs", folder]).status === 0;
}

function canMount(): boolean {
  const folder = path.join(tmpdir(), `data-putter-mount-${process.pid}`);
  const can = mountTmpfs(folder);
  if (can) spawnSync("umount", [folder]);
  else console.warn("SKIPPED: this user cannot mount a small disk, so the runbook for a full one is not tried");
  return can;
}

describe.skipIf(!canMount())("disk-full.md", () => {
  let disk: string;
  let root: string;
  let router: Service;
  let shell: Shell;
  let blocks: Block[];
  let acknowledged: string[];

  beforeEach(async () => {
    disk = path.join(home, "disk");
    if (!mountTmpfs(disk)) throw new Error(`${disk} cannot be mounted`);
    root = path.join(disk, "objects");
    blocks = await blocksOf("disk-full.md", root);
    router = await startRouter(root);
    shell = openShell();
    acknowledged = await storeAll([5, 5, 5, 5].map((size) => size * megabyte));
    // Something beside the store fills the disk, to within less than what the store keeps free.
    await writeFile(path.join(disk, "other"), Buffer.alloc((diskSize - 8) * 1_048_576 - 22 * megabyte));
    await until("writes are refused", async () => {
      const said = await put(megabyte, 9);
      if (/^\w+$/.test(said)) acknowledged.push(said);
      return said.includes("are kept free");
    });
  });

  afterEach(async () => {
    await shell.close();
    await router.kill();
    spawnSync("umount", [disk]);
  });

  const run = async (heading: string): Promise<string> => {
    const found = blocks.filter((block) => block.heading === heading);
    expect(found.length, heading).toBe(1);
    return shell.run(found[0]!.commands);
  };

  test("while it is full old data is read, and what was refused is not there", async () => {
    await run("The disk is full");
    const listed = (await run("Look")).matchAll(/^(\w+) +saved /gm);
    expect([...listed].map(([, object]) => object)).toEqual(acknowledged);
    for (const object of ["0", "3"]) {
      expect((await get(object, path.join(root, "key"))).equals(someBytes(5 * megabyte, Number(object)))).toBe(true);
    }
  });

  test("when the disk has grown, writing goes on without a restart", async () => {
    await run("The disk is full");
    await place.done("mount", ["-o", `remount,size=${diskSize + 64}m`, disk], { cwd: home });
    expect(await run("Grow")).toContain("freeSpace");
    await until("writes are taken", async () => /^\w+$/.test(await put(megabyte, 9)));
    expect(await run("Afterwards")).toContain("nothing is damaged");
  });

  test("when objects are removed their space comes back, and writing goes on without a restart", async () => {
    await run("The disk is full");
    expect(await run("Remove objects")).toContain("reclaim");
    await until("writes are taken", async () => /^\w+$/.test(await put(megabyte, 9)));
    expect((await get("3", path.join(root, "key"))).equals(someBytes(5 * megabyte, 3))).toBe(true);
    expect(await run("Afterwards")).toContain("nothing is damaged");
  });
});

describe("key-lost.md", () => {
  const sizes = [3 * megabyte + 1, 1, 0, 1458 * 3];
  let root: string;
  let key: string;
  let router: Service;
  let shell: Shell;
  let blocks: Block[];

  beforeEach(async () => {
    root = path.join(home, "objects");
    key = path.join(root, "key");
    blocks = await blocksOf("key-lost.md", root);
    router = await startRouter(root);
    shell = openShell();
    await shell.run(blocks.shift()!.commands);
    await storeAll(sizes);
  });

  afterEach(async () => {
    await shell.close();
    await router.kill();
  });

  test("with the backup that it tells to make, everything is as before", async () => {
    const [backup, restore, check] = blocks;
    const fingerprints = (await shell.run(backup!.commands)).match(/^[0-9a-f]{16}/gm);
    expect(fingerprints).toHaveLength(2);
    expect(new Set(fingerprints).size).toBe(1);
    expect(router.stdout()).toContain(fingerprints![0]);

    await router.stop();
    await unlink(key);
    const refused = await place.run("data-putter", ["router", "--root", root], { cwd: home, env });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("holds data, but its key");

    await shell.run(restore!.commands);
    router = await startRouter(root);
    expect(await shell.run(check!.commands)).toContain("nothing is damaged");
    expect((await get("0", key)).equals(someBytes(sizes[0]!, 0))).toBe(true);
  });

  test("with another key nothing is handed out, and what is said names both fingerprints", async () => {
    const other = path.join(home, "other-key");
    const made = await place.done("data-putter", ["key", "make", other], { cwd: home });
    const outcome = await place.run("data-putter", ["get", "0", "--key-file", other], { cwd: home, env });
    expect(outcome.code).toBe(4);
    expect(outcome.stdout).toBe("");
    expect(outcome.stderr).toContain(made.slice(0, 16));
    expect(outcome.stderr).toContain(/key fingerprint +(\w{16})/.exec(router.stdout())![1]);
  });

  test("without a backup the bytes are still to be had, unverified", async () => {
    await router.stop();
    await unlink(key);
    const [ask, extract] = blocks.slice(3);
    await shell.run(ask!.commands);
    await shell.run(extract!.commands);
    expect((await readFile(path.join(home, "rescued-0"))).equals(someBytes(sizes[0]!, 0))).toBe(true);
    expect(blocks.slice(5)).toEqual([]);
  });

  test("under a throw-away key the store hands out nothing, but calls it damaged", async () => {
    await router.stop();
    await rename(key, path.join(home, "real-key"));
    const other = path.join(home, "other-key");
    await place.done("data-putter", ["key", "make", other], { cwd: home });
    const args = ["router", "--root", root, "--key-file", other];
    const rootKeys = { DATA_PUTTER_ACCESS_KEY: "throw-away", DATA_PUTTER_SECRET_KEY: "throw-away" };
    const given = { cwd: home, env: { ...env, ...rootKeys }, ready: /key fingerprint/ };
    router = await place.start("data-putter", args, given);
    const outcome = await place.run("data-putter", ["get", "0", "--key-file", other], { cwd: home, env });
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toContain("damaged");
  });
});

test("disk-full.md has no command that is not run here", async () => {
  const headings = (await blocksOf("disk-full.md", "")).map(({ heading }) => heading);
  expect(headings).toEqual(["The disk is full", "Look", "Grow", "Remove objects", "Afterwards"]);
});

test("links between the documents lead somewhere", async () => {
  for (const name of ["disk-full.md", "key-lost.md"]) {
    const file = path.join(projectRoot, "docs", "runbooks", name);
    const text = await readFile(file, "utf8");
    for (const [, target] of text.matchAll(/\]\(([^)#]+)/g)) {
      const linked = path.join(path.dirname(file), target!);
      await expect(readFile(linked), `${name}: ${target}`).resolves.toBeDefined();
    }
  }
});
