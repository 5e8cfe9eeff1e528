/**
 * What somebody does who has never seen the project: clone it, `npm start`, send a file with nc, and have it back after
 * the process was killed. Under the Node.js that is here, and under newer ones where npm can get them.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort, projectRoot, type Service, someBytes, Workplace } from "../support/program.ts";

const versions = ["here", "22", "24"];
const bytes = someBytes(5_000_000, 1);
let place: Workplace;

beforeAll(async () => {
  place = await Workplace.make();
});

afterAll(async () => {
  await place.remove();
});

/** A command under that version of Node.js. */
function under(version: string, ...command: string[]): [string, string[]] {
  return version === "here"
    ? [command[0]!, command.slice(1)]
    : ["npx", ["--yes", "--package", `node@${version}`, "--", ...command]];
}

function isThere(version: string): boolean {
  const [program, args] = under(version, "node", "--version");
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", timeout: 120_000 });
  const found = status === 0 && (version === "here" || stdout.includes(`v${version}.`));
  if (!found) console.warn(`SKIPPED: npm cannot get Node.js ${version}, so a fresh clone is not tried under it`);
  return found;
}

describe.each(versions.filter(isThere))("a fresh clone, Node.js %s", (version) => {
  let clone: string;
  let root: string;
  let env: Record<string, string>;
  let router: Service;

  beforeAll(async () => {
    clone = path.join(place.directory, `clone-${version}`);
    root = path.join(clone, "data");
    const config = path.join(place.directory, "gitconfig");
    // The project may belong to somebody else than who runs this.
    await writeFile(config, "[safe]\n\tdirectory = *\n");
    const git = { GIT_CONFIG_GLOBAL: config };
    await place.done("git", ["clone", "--quiet", projectRoot, clone], { cwd: place.directory, env: git });
    env = { DATA_PUTTER_PORT: String(await freePort()), DATA_PUTTER_RESPONSE_PORT: String(await freePort()) };
  });

  const npmStart = (): Promise<Service> => {
    const [program, args] = under(version, "npm", "start");
    return place.start(program, args, { cwd: clone, env, ready: /key from/, timeoutMs: 300_000 });
  };
  const dataPutter = (...args: string[]): Promise<string> => {
    const [program, all] = under(version, "node", path.join(clone, "bin", "data-putter.cjs"), ...args);
    return place.done(program, all, { cwd: clone, env });
  };

  test("npm start installs, builds, and says how a file is stored; the line works", async () => {
    expect(existsSync(path.join(clone, "node_modules"))).toBe(false);
    router = await npmStart();
    const line = /store a file +(nc -N 127\.0\.0\.1 \d+ < FILE)/.exec(router.stdout())![1]!;
    await writeFile(path.join(clone, "FILE"), bytes);
    expect(await place.done("sh", ["-c", line], { cwd: clone })).toBe("OBJECT 0 WRITTEN OK\n");
  });

  test("the file is there, bit for bit, after kill -9 and another npm start", async () => {
    await dataPutter("get", "0", "-o", "before");
    await router.kill();
    router = await npmStart();
    await dataPutter("get", "0", "-o", "after");
    for (const name of ["before", "after"]) expect((await readFile(path.join(clone, name))).equals(bytes)).toBe(true);
    await dataPutter("verify");
    expect(existsSync(path.join(root, "key"))).toBe(true);
  });

  test("nothing that git would want to commit has come into being", async () => {
    const status = await place.done("git", ["status", "--porcelain"], { cwd: clone });
    expect(status.split("\n").filter((line) => !/^\?\? (FILE|before|after)$/.test(line))).toEqual([""]);
  });

  test("it ends when it is asked to", async () => {
    await router.stop();
    const outcome = await place.run("nc", ["-z", "127.0.0.1", env["DATA_PUTTER_PORT"]!], { cwd: clone });
    expect(outcome.code).not.toBe(0);
  });
});
