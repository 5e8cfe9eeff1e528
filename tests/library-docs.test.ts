/** What the library's pages show is run as it stands there. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { spawnSync } from "node:child_process";
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { startServer } from "../src/index.ts";
import { freePort, projectRoot, Workplace } from "./support/program.ts";
import { readBlocks, Shell } from "./support/runbook.ts";

let place: Workplace;

beforeAll(async () => {
  place = await Workplace.make();
});

afterAll(async () => {
  await place.remove();
});

async function scriptsOf(page: string): Promise<string[]> {
  const text = await readFile(path.join(projectRoot, page), "utf8");
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);
}

describe.each(["docs/library.md", "docs/coming-from-s3rver.md", "README.md"])("%s", (page) => {
  test("its programs run", async () => {
    const entry = pathToFileURL(path.join(projectRoot, "dist", "index.js")).href;
    const client = pathToFileURL(path.join(projectRoot, "node_modules/@aws-sdk/client-s3/dist-cjs/index.js")).href;
    const scripts = await scriptsOf(page);
    expect(scripts.length).toBeGreaterThan(0);
    for (const [index, script] of scripts.entries()) {
      const cwd = await place.folder(`${path.basename(page)}-${index}`);
      const text = script.replace('"data-putter"', `"${entry}"`).replace('"@aws-sdk/client-s3"', `"${client}"`);
      await writeFile(path.join(cwd, "script.mjs"), text);
      const { code, stderr } = await place.run(process.execPath, ["--no-warnings", "script.mjs"], { cwd });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    }
  });
});

const withoutRclone = spawnSync("rclone", ["version"]).status !== 0;
if (withoutRclone) console.warn("SKIPPED: rclone is not installed, so moving from MinIO is not tried");

test.skipIf(withoutRclone)(
  "docs/coming-from-minio.md: objects move over S3, with what is said of them",
  async () => {
    // Any S3 will do for the old one.
    const keys = { accessKeyId: "minioadmin", secretAccessKey: "minioadmin" };
    await using old = await startServer({ inMemory: true, ...keys });
    const from = new S3Client(old.config);
    const names = ["a/b.txt", "a", "with space & ümlaut", "deep/er/x"];
    for (const bucket of ["first", "second"]) {
      await from.send(new CreateBucketCommand({ Bucket: bucket }));
      for (const Key of names) {
        const put = {
          Bucket: bucket,
          Key,
          Body: `${bucket} ${Key}`,
          ContentType: "text/x-test",
          Metadata: { who: "me" },
        };
        await from.send(new PutObjectCommand(put));
      }
    }
    const port = String(await freePort());
    const home = await place.folder("home");
    const env = place.environment({ HOME: home, NEW_PORT: port, OLD_ENDPOINT: old.endpoint });
    const shell = new Shell(home, env);
    try {
      for (const { commands } of await readBlocks(path.join(projectRoot, "docs/coming-from-minio.md"))) {
        await shell.run(commands);
      }
      const to = new S3Client({ ...old.config, endpoint: `http://127.0.0.1:${port}` });
      for (const Key of names) {
        const head = await to.send(new HeadObjectCommand({ Bucket: "second", Key }));
        expect(head).toMatchObject({ ContentType: "text/x-test", ContentLength: Buffer.byteLength(`second ${Key}`) });
        expect(head.Metadata).toMatchObject({ who: "me" });
      }
      to.destroy();
    } finally {
      await shell.run("kill %1; wait %1 || true").catch(() => undefined);
      await shell.close();
      from.destroy();
    }
  },
  60_000,
);
