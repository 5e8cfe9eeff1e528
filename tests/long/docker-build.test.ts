/**
 * Goes through the Dockerfile as `docker build` would, a directory for each stage: copies what it copies (less what
 * .dockerignore keeps out), runs what it runs with npm, and then the program from what the image would hold.
 */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isIgnored, parseDockerfile, type Stage } from "../support/dockerfile.ts";
import { freePort, projectRoot, someBytes, Workplace } from "../support/program.ts";
import { hasRedisServer } from "../support/redis-server.ts";

let place: Workplace;
let app: string;
const bytes = someBytes(3_000_000, 1);

beforeAll(async () => {
  place = await Workplace.make();
  const ignore = await readFile(path.join(projectRoot, ".dockerignore"), "utf8");
  const { stages } = parseDockerfile(await readFile(path.join(projectRoot, "Dockerfile"), "utf8"));
  const folders = new Map<string | undefined, string>();
  for (const stage of stages) {
    const folder = await place.folder(`stage-${folders.size}`);
    folders.set(stage.name, folder);
    await build(stage, folder, folders, ignore);
  }
  app = path.join(folders.get(stages.at(-1)!.name)!, "app");
});

afterAll(async () => {
  await place.remove();
});

async function build(
  stage: Stage,
  folder: string,
  folders: ReadonlyMap<string | undefined, string>,
  ignore: string,
): Promise<void> {
  // Each stage of ours works in /app until it has built; the last one then goes to /data.
  const work = path.join(folder, "app");
  await mkdir(work);
  for (const step of stage.steps) {
    if (step.kind === "run") {
      // The others concern users and directories of the container.
      if (step.line.startsWith("npm ")) await place.done("sh", ["-c", step.line], { cwd: work, timeoutMs: 300_000 });
      continue;
    }
    const { from, sources, target } = step.copy;
    const origin = from === undefined ? projectRoot : folders.get(from)!;
    for (const source of sources) {
      const to = target.endsWith("/") ? path.join(work, target, path.basename(source)) : path.join(work, target);
      const filter = (file: string): boolean =>
        from !== undefined || !isIgnored(ignore, path.relative(projectRoot, file));
      await cp(path.join(origin, source), to, { recursive: true, filter, verbatimSymlinks: true });
    }
  }
}

test("the image holds what production needs, and neither sources nor development's tools", async () => {
  const modules = (await place.done("ls", ["node_modules"], { cwd: app })).split("\n");
  expect(modules).toContain("lmdb");
  for (const name of ["typescript", "vitest", "assemblyscript", "oxlint", "fast-check"])
    expect(modules).not.toContain(name);
  expect((await place.done("ls", ["."], { cwd: app })).trim().split("\n").sort()).toEqual([
    "README.md",
    "bin",
    "dist",
    "node_modules",
    "package.json",
  ]);
});

test.each(hasRedisServer() ? ["embedded", "redis"] : ["embedded"])(
  "an object goes in and comes out again, its metadata %s",
  async (kind) => {
    const image = await Workplace.make(path.join(app, "bin", "data-putter.cjs"));
    try {
      const root = await image.folder("data");
      const [port, responsePort, redisPort] = [await freePort(), await freePort(), await freePort()].map(String) as [
        string,
        string,
        string,
      ];
      const env: Record<string, string> = { DATA_PUTTER_PORT: port, DATA_PUTTER_RESPONSE_PORT: responsePort };
      await writeFile(path.join(root, "file"), bytes);
      if (kind === "redis") {
        const redis = [
          "--port",
          redisPort,
          "--bind",
          "127.0.0.1",
          "--dir",
          root,
          "--appendonly",
          "yes",
          "--appendfsync",
          "always",
        ];
        await image.start("redis-server", redis, { cwd: root, ready: /Ready to accept connections/ });
      }
      const own = kind === "redis" ? { ...env, REDIS_HOSTPORT: `127.0.0.1:${redisPort}` } : env;
      const router = await image.start("data-putter", ["router", "--root", root], {
        cwd: root,
        env: own,
        ready: /fingerprint/,
      });
      const said = await image.done("data-putter", ["put", "file"], { cwd: root, env });
      await image.done("data-putter", ["get", said.split(" ")[0]!, "-o", "back"], { cwd: root, env });
      expect((await readFile(path.join(root, "back"))).equals(bytes)).toBe(true);
      expect(await router.stop()).toBe(0);
    } finally {
      await image.remove();
    }
  },
);
