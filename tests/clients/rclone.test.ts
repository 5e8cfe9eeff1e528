/** rclone: trees there and back, compared by their checksums, and a few single objects. */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import {
  accessKey,
  describeSession,
  digestOf,
  hasBytes,
  largeSize,
  makeTree,
  manyCount,
  region,
  secretKey,
  treeSize,
} from "./support.ts";

const treeFiles = 300;

describeSession("rclone", (session) => {
  const rclone = (...args: readonly string[]): Promise<string> =>
    session.run(args, { env: { RCLONE_CONFIG: session.path("rclone.conf") } });

  beforeAll(async () => {
    const keys = `access_key_id = ${accessKey}\nsecret_access_key = ${secretKey}\n`;
    const where = `endpoint = ${session.endpoint}\nregion = ${region}\n`;
    await session.file("rclone.conf", `[store]\ntype = s3\nprovider = Other\n${keys}${where}`);
  });

  test("makes a bucket and sees it", async () => {
    await rclone("mkdir", "store:bucket");
    expect(await rclone("lsf", "store:")).toBe("bucket/\n");
  });

  test("copies a small file there and back, and keeps its time of modification", async () => {
    await session.file("small.txt", "a few bytes");
    await session.command("touch", ["--date=2001-02-03T04:05:06.789Z", "small.txt"]);
    await rclone("copyto", "small.txt", "store:bucket/small.txt");
    await rclone("copyto", "store:bucket/small.txt", "small.back");
    expect(await hasBytes(session.path("small.back"), Buffer.from("a few bytes"))).toBe(true);
    expect(await session.command("stat", ["--format=%.3Y", "small.back"])).toBe("981173106.789\n");
  });

  test("copies 100 MB in parts there and back", async () => {
    await session.file("large", someBytes(largeSize, 1));
    await rclone("copyto", "--s3-upload-cutoff=10M", "--s3-chunk-size=8M", "large", "store:bucket/large");
    await rclone("copyto", "--multi-thread-cutoff=20M", "store:bucket/large", "large.back");
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
  });

  test("sends a stream whose length nobody knows", async () => {
    await session.command("sh", ["-c", '"$0" rcat store:bucket/stream < large', session.client.at], {
      env: { RCLONE_CONFIG: session.path("rclone.conf") },
    });
    expect(await rclone("size", "--json", "store:bucket/stream")).toContain(`"bytes":${largeSize}`);
  });

  test("reads a range", async () => {
    const expected = someBytes(largeSize, 1).subarray(50_000_000, 50_000_100);
    const script = '"$0" cat --offset=50000000 --count=100 store:bucket/large > range';
    await session.command("sh", ["-c", script, session.client.at], {
      env: { RCLONE_CONFIG: session.path("rclone.conf") },
    });
    expect(await hasBytes(session.path("range"), expected)).toBe(true);
  });

  test("copies and moves within the store, in parts too", async () => {
    await rclone("copyto", "--s3-copy-cutoff=20M", "store:bucket/large", "store:bucket/copies/large");
    await rclone("moveto", "store:bucket/small.txt", "store:bucket/moved/ü +%.txt");
    expect(await rclone("cat", "store:bucket/moved/ü +%.txt")).toBe("a few bytes");
    expect(await rclone("lsf", "store:bucket")).toBe("copies/\nlarge\nmoved/\nstream\n");
    expect(await rclone("lsf", "--format=s", "store:bucket/copies")).toBe(`${largeSize}\n`);
  });

  test("lists more objects than a page has", async () => {
    for (let index = 0; index < manyCount; index++) await session.file(`many/${index}`, String(index));
    await rclone("copy", "--transfers=16", "many", "store:bucket/many");
    expect((await rclone("lsf", "store:bucket/many")).split("\n")).toHaveLength(manyCount + 1);
  });

  test("syncs a tree up and down and finds no difference, nor does diff", async () => {
    await makeTree(session.path("tree"), { count: treeFiles, sizes: [9_000_000, 20_000_000] });
    await rclone("sync", "--s3-upload-cutoff=10M", "tree", "store:bucket/tree");
    await rclone("check", "--download", "tree", "store:bucket/tree");
    await rclone("check", "tree", "store:bucket/tree");
    await rclone("sync", "store:bucket/tree", "tree.back");
    expect(await session.differences("tree", "tree.back")).toBe("");
    expect(await rclone("size", "--json", "store:bucket/tree")).toContain(`"count":${treeSize(treeFiles) + 2}`);
  });

  test("a file that is gone here is gone there after a sync", async () => {
    await session.command("rm", ["-r", "tree/folder-1", "tree/50%.txt"]);
    await rclone("sync", "tree", "store:bucket/tree");
    await rclone("sync", "store:bucket/tree", "tree.back");
    expect(await session.differences("tree", "tree.back")).toBe("");
  });

  test("makes a link that curl can follow", async () => {
    const url = (await rclone("link", "--expire=60s", "store:bucket/moved/ü +%.txt")).trim();
    expect(await session.curl([url])).toBe("a few bytes");
  });

  test("sees and fetches old versions", async () => {
    await rclone("mkdir", "store:versions");
    await rclone("backend", "versioning", "store:versions", "Enabled");
    for (const text of ["first", "second"]) {
      await session.file("file.txt", text);
      await rclone("copy", "--ignore-times", "file.txt", "store:versions");
      // It tells versions apart by their time, which S3 lists in whole seconds.
      await delay(1_100);
    }
    await rclone("deletefile", "store:versions/file.txt");
    expect(await rclone("lsf", "store:versions")).toBe("");
    const all = (await rclone("lsf", "--s3-versions", "store:versions")).trim().split("\n");
    expect(all).toEqual([expect.stringMatching(/^file-v\S+\.txt$/), expect.stringMatching(/^file-v\S+\.txt$/)]);
    await rclone("copy", "--s3-versions", "store:versions", "versions.back");
    expect((await readdir(session.path("versions.back"))).sort()).toEqual(all.sort());
    const texts = await Promise.all(all.map((name) => readFile(session.path("versions.back", name), "utf8")));
    expect(texts.sort()).toEqual(["first", "second"]);
    await rclone("backend", "cleanup-hidden", "store:versions");
    await rclone("rmdir", "store:versions");
  });

  test("deletes all that matches, and then the bucket with the rest", async () => {
    await rclone("delete", "--include=file-1*", "store:bucket/tree");
    expect(await rclone("lsf", "--recursive", "--include=file-1*", "store:bucket/tree")).not.toContain("file-");
    await rclone("purge", "store:bucket");
    expect(await rclone("lsf", "store:")).toBe("");
  });
});
