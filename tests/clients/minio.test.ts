/** The `minio` package of npm. */
import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { Client, CopyDestinationOptions, CopySourceOptions } from "minio";
import { beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import {
  accessKey,
  describeSession,
  digestOf,
  largeSize,
  makeTree,
  manyCount,
  secretKey,
  type Session,
} from "./support.ts";

const bucket = "bucket";

function steps(session: Session): void {
  let minio: Client;
  const textOf = async (key: string): Promise<string> => text(await minio.getObject(bucket, key));
  const listed = async (prefix: string, recursive: boolean): Promise<readonly { name?: string; prefix?: string }[]> =>
    all(minio.listObjectsV2(bucket, prefix, recursive));

  beforeAll(async () => {
    minio = new Client({ endPoint: "127.0.0.1", port: session.port, useSSL: false, accessKey, secretKey });
    await session.file("large", someBytes(largeSize, 1));
  });

  test("makes a bucket and sees it", async () => {
    expect(await minio.bucketExists(bucket)).toBe(false);
    await minio.makeBucket(bucket);
    expect(await minio.bucketExists(bucket)).toBe(true);
    expect((await minio.listBuckets()).map(({ name }) => name)).toEqual([bucket]);
  });

  test("puts and gets a small object with its type, metadata and tags", async () => {
    await minio.putObject(bucket, "small", "a few bytes", undefined, {
      "Content-Type": "text/x-small",
      colour: "blue",
    });
    expect(await textOf("small")).toBe("a few bytes");
    const { size, metaData } = await minio.statObject(bucket, "small");
    expect([size, metaData]).toEqual([11, { "content-type": "text/x-small", colour: "blue" }]);
    await minio.setObjectTagging(bucket, "small", { team: "red" });
    expect(await minio.getObjectTagging(bucket, "small")).toEqual([{ Key: "team", Value: "red" }]);
    await expect(minio.getObject(bucket, "nothing")).rejects.toMatchObject({ code: "NoSuchKey" });
  });

  test("sends and fetches 100 MB in parts, from a file and from a stream", async () => {
    await minio.fPutObject(bucket, "large", session.path("large"));
    await minio.fGetObject(bucket, "large", session.path("large.back"));
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
    await minio.putObject(bucket, "stream", createReadStream(session.path("large")));
    expect((await minio.statObject(bucket, "stream")).size).toBe(largeSize);
    expect(await all(minio.listIncompleteUploads(bucket, "", true))).toEqual([]);
  });

  test("gets a range", async () => {
    const range = await buffer(await minio.getPartialObject(bucket, "large", 50_000_000, 1000));
    expect(range.equals(someBytes(largeSize, 1).subarray(50_000_000, 50_001_000))).toBe(true);
  });

  test("copies an object, and puts one together of others", async () => {
    await minio.copyObject(bucket, "copies/ü +%", `/${bucket}/small`);
    expect(await textOf("copies/ü +%")).toBe("a few bytes");
    const to = new CopyDestinationOptions({ Bucket: bucket, Object: "composed" });
    const from = ["large", "small"].map((Object) => new CopySourceOptions({ Bucket: bucket, Object }));
    await minio.composeObject(to, from);
    expect((await minio.statObject(bucket, "composed")).size).toBe(largeSize + 11);
  });

  test("lists more objects than a page has, and by folders", async () => {
    const keys = Array.from({ length: manyCount }, (_, index) => `many/${String(index).padStart(4, "0")}`);
    for (let first = 0; first < keys.length; first += 32) {
      await Promise.all(keys.slice(first, first + 32).map((key) => minio.putObject(bucket, key, key)));
    }
    expect((await listed("many/", true)).map(({ name }) => name)).toEqual(keys);
    expect(await all(minio.listObjects(bucket, "many/", true))).toHaveLength(manyCount);
    expect((await listed("", false)).flatMap(({ prefix }) => prefix ?? [])).toEqual(["copies/", "many/"]);
  });

  test("signs URLs by which curl puts, heads, gets and deletes", async () => {
    const key = "signed/ü +%";
    await session.file("sent", "by curl");
    await session.curl(["--upload-file", "sent", await minio.presignedPutObject(bucket, key, 60)]);
    const head = await session.curl(["--head", await minio.presignedUrl("HEAD", bucket, key, 60)]);
    expect(head).toMatch(/^content-length: 7\r$/im);
    expect(await session.curl([await minio.presignedGetObject(bucket, key, 60)])).toBe("by curl");
    await session.curl(["--request", "DELETE", await minio.presignedUrl("DELETE", bucket, key, 60)]);
    await expect(minio.statObject(bucket, key)).rejects.toMatchObject({ code: "NotFound" });
  });

  test("signs a form by which curl uploads", async () => {
    const policy = minio.newPostPolicy();
    policy.setBucket(bucket);
    policy.setKey("by form");
    policy.setExpires(new Date(Date.now() + 60_000));
    policy.setContentLengthRange(1, 1000);
    const { postURL, formData } = await minio.presignedPostPolicy(policy);
    const fields = Object.entries(formData).flatMap(([name, value]) => ["--form-string", `${name}=${String(value)}`]);
    await session.curl([...fields, "--form", "file=@sent", postURL]);
    expect(await textOf("by form")).toBe("by curl");
  });

  test("sends a tree and fetches it; there is no difference", async () => {
    await makeTree(session.path("tree"), { count: 200, sizes: [9_000_000, 20_000_000] });
    const entries = await readdir(session.path("tree"), { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((found) => found.isFile())) {
      const file = path.join(entry.parentPath, entry.name);
      await minio.fPutObject(bucket, path.relative(session.path(), file), file);
    }
    await mkdir(session.path("back"));
    for (const { name } of await listed("tree/", true))
      await minio.fGetObject(bucket, name!, session.path("back", name!));
    expect(await session.differences("tree", "back/tree")).toBe("");
  });

  test("keeps versions, and deletes one for good", async () => {
    await minio.makeBucket("versions");
    await minio.setBucketVersioning("versions", { Status: "Enabled" });
    expect(await minio.getBucketVersioning("versions")).toMatchObject({ Status: "Enabled" });
    const first = await minio.putObject("versions", "file", "first");
    const second = await minio.putObject("versions", "file", "second");
    expect(await text(await minio.getObject("versions", "file", { versionId: first.versionId! }))).toBe("first");
    await minio.removeObject("versions", "file", { versionId: second.versionId! });
    expect(await text(await minio.getObject("versions", "file"))).toBe("first");
    const versions = await all(minio.listObjects("versions", "", true, { IncludeVersion: true }));
    expect(versions).toMatchObject([{ name: "file", versionId: first.versionId, isLatest: true }]);
    await minio.removeObjects("versions", [{ name: "file", versionId: first.versionId! }]);
    await minio.removeBucket("versions");
  });

  test("sets a policy and reads it back", async () => {
    const Resource = [`arn:aws:s3:::${bucket}/public/*`];
    const Statement = [{ Effect: "Allow", Principal: { AWS: ["*"] }, Action: ["s3:GetObject"], Resource }];
    await minio.setBucketPolicy(bucket, JSON.stringify({ Version: "2012-10-17", Statement }));
    expect(await minio.getBucketPolicy(bucket)).toContain(Resource[0]);
    await minio.putObject(bucket, "public/file", "for all");
    expect(await session.curl([`${session.endpoint}/${bucket}/public/file`])).toBe("for all");
  });

  test("deletes objects a thousand at a time, and at last the bucket", async () => {
    await expect(minio.removeBucket(bucket)).rejects.toMatchObject({ code: "BucketNotEmpty" });
    const names = (await listed("", true)).map(({ name }) => name!);
    expect(names.length).toBeGreaterThan(manyCount);
    await minio.removeObjects(bucket, names);
    await minio.removeBucket(bucket);
    expect(await minio.listBuckets()).toEqual([]);
  });
}

interface Listed {
  readonly name?: string;
  readonly prefix?: string;
}

async function all(stream: Readable): Promise<readonly Listed[]> {
  const items: Listed[] = [];
  for await (const item of stream) items.push(item as Listed);
  return items;
}

describeSession("minio (npm)", steps);
