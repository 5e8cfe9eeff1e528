/** The commands of small-files.md and damaged-objects.md, run as they stand there, in the situation that they are for. */
import { mkdtemp, open, readFile, rename, unlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort, projectRoot, type Service, someBytes, Workplace } from "../support/program.ts";
import { type Block, readBlocks, Shell } from "../support/runbook.ts";

const size = 20_000;
let place: Workplace;
let home: string;
let root: string;
let env: Record<string, string>;
let router: Service;
let shell: Shell;
beforeAll(async () => {
  place = await Workplace.make();
});
afterAll(() => place.remove());

beforeEach(async () => {
  home = await mkdtemp(path.join(place.directory, "home-"));
  root = path.join(home, "root");
  env = { DATA_PUTTER_PORT: String(await freePort()), DATA_PUTTER_RESPONSE_PORT: String(await freePort()) };
  router = await start();
  await writeFile(path.join(home, "file"), someBytes(size, 1));
  await place.done("data-putter", ["put", "file"], { cwd: home, env });
  shell = new Shell(home, place.environment({ ...env, HOME: home }));
});
afterEach(async () => {
  await shell.close();
  await router.kill();
});

const start = (): Promise<Service> =>
  place.start("data-putter", ["router", "--root", root], { cwd: home, env, ready: /key fingerprint/ });

async function blocksOf(name: string): Promise<Block[]> {
  const file = path.join(projectRoot, "docs", "runbooks", name);
  const text = await readFile(file, "utf8");
  for (const [, target] of text.matchAll(/\]\(([^)#]+)/g)) await readFile(path.join(path.dirname(file), target!));
  const blocks = await readBlocks(file);
  return blocks.map(({ heading, commands }) => ({ heading, commands: commands.replaceAll("/srv/objects", root) }));
}

test.each(["damaged", "lost"])(
  "a marker that is %s is written again, with the identity that the datastore knows",
  async (how) => {
    const [settings, repair, check, ...none] = await blocksOf("small-files.md");
    expect(none).toEqual([]);
    await router.stop();
    const marker = path.join(root, "data-putter.json");
    const { id } = JSON.parse(await readFile(marker, "utf8")) as { id: string };
    if (how === "lost") await rename(marker, path.join(home, "lost.json"));
    else await writeFile(marker, "\0\0\0\0");
    const refused = await place.run("data-putter", ["router", "--root", root], { cwd: home, env });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("docs/runbooks/small-files.md");
    await shell.run(settings!.commands);
    await shell.run(repair!.commands);
    expect(JSON.parse(await readFile(marker, "utf8"))).toEqual({ format: 1, depth: 2, id });
    router = await start();
    expect(await shell.run(check!.commands)).toContain("nothing is damaged");
  },
  60_000,
);

test("files that are made again by themselves may go", async () => {
  await router.stop();
  await unlink(path.join(root, "datastore", "lock.mdb"));
  router = await start();
  const [settings, , check] = await blocksOf("small-files.md");
  await shell.run(settings!.commands);
  expect(await shell.run(check!.commands)).toContain("nothing is damaged");
});

test("what is damaged is found, and what lies before it is got", async () => {
  const [settings, find, rescue, ...none] = await blocksOf("damaged-objects.md");
  expect(none).toEqual([]);
  const file = await open(path.join(root, "obj"), "r+");
  await file.write(Buffer.from([1, 2, 3, 4]), 0, 4, 5 * 1458);
  await file.close();
  await shell.run(settings!.commands);
  expect(await shell.run(find!.commands)).toMatch(/^object 0 {2}offset 7290 {2}ticket 5 {2}corrupt/m);
  await shell.run(rescue!.commands);
  const saved = await readFile(path.join(home, "before-the-damage"));
  expect(saved.equals(someBytes(size, 1).subarray(0, 1000))).toBe(true);
});
