/** The AWS command line: `aws s3` for files and trees, `aws s3api` for what S3 itself has. */
import { readFile, writeFile } from "node:fs/promises";
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
} from "./support.ts";

const config = `[default]\nregion = ${region}\noutput = json\n`;
const credentials = `[default]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`;

describeSession("AWS CLI", (session) => {
  const aws = (...args: readonly string[]): Promise<string> =>
    session.run(["--endpoint-url", session.endpoint, ...args], { env: { AWS_PAGER: "" } });
  const api = async <Answer>(...args: readonly string[]): Promise<Answer> => {
    const text = await aws("s3api", ...args);
    return (text.trim() === "" ? {} : JSON.parse(text)) as Answer;
  };

  beforeAll(async () => {
    await session.file("home/.aws/config", config);
    await session.file("home/.aws/credentials", credentials);
  });

  test("makes a bucket and sees it", async () => {
    await aws("s3", "mb", "s3://bucket");
    expect(await aws("s3", "ls")).toMatch(/ bucket\n$/);
    await api("head-bucket", "--bucket", "bucket");
  });

  test("sends a small file and gets it back with its type and metadata", async () => {
    await session.file("small.txt", "a few bytes");
    await aws("s3", "cp", "small.txt", "s3://bucket/small.txt", "--metadata", "colour=blue");
    const head = await api<Head>("head-object", "--bucket", "bucket", "--key", "small.txt");
    expect(head).toMatchObject({ ContentLength: 11, ContentType: "text/plain", Metadata: { colour: "blue" } });
    expect(await aws("s3", "cp", "s3://bucket/small.txt", "-")).toBe("a few bytes");
  });

  test("sends and fetches 100 MB in parts", async () => {
    await session.file("large", someBytes(largeSize, 1));
    await aws("s3", "cp", "--no-progress", "large", "s3://bucket/large");
    await aws("s3", "cp", "--no-progress", "s3://bucket/large", "large.back");
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
    const { ETag } = await api<Head>("head-object", "--bucket", "bucket", "--key", "large");
    expect(ETag).toMatch(/^"[0-9a-f]{32}-12"$/);
  });

  test("copies 100 MB in parts without sending them", async () => {
    await aws("s3", "cp", "--no-progress", "s3://bucket/large", "s3://bucket/large.copy");
    const { ContentLength } = await api<Head>("head-object", "--bucket", "bucket", "--key", "large.copy");
    expect(ContentLength).toBe(largeSize);
  });

  test("gets a range, and a part by its number", async () => {
    const of = ["--bucket", "bucket", "--key", "large"];
    await api("get-object", ...of, "--range", "bytes=50000000-50000099", "range");
    const large = await readFile(session.path("large"));
    expect(await hasBytes(session.path("range"), large.subarray(50_000_000, 50_000_100))).toBe(true);
    const part = await api<Head>("get-object", ...of, "--part-number", "2", "part");
    expect(part.PartsCount).toBe(12);
    expect(await hasBytes(session.path("part"), large.subarray(8 << 20, 16 << 20))).toBe(true);
  });

  test("uploads part by part by hand, and lists them on the way", async () => {
    const of = ["--bucket", "bucket", "--key", "by hand"];
    const { UploadId } = await api<{ UploadId: string }>("create-multipart-upload", ...of);
    const sizes = [5 << 20, 1000];
    const parts = [];
    for (const [index, size] of sizes.entries()) {
      await writeFile(session.path("part"), someBytes(size, index));
      const number = String(index + 1);
      const args = ["--upload-id", UploadId, "--part-number", number, "--body", "part"];
      const { ETag } = await api<Head>("upload-part", ...of, ...args);
      parts.push({ ETag, PartNumber: index + 1 });
    }
    const listed = await api<{ Parts: { Size: number }[] }>("list-parts", ...of, "--upload-id", UploadId);
    expect(listed.Parts.map(({ Size }) => Size)).toEqual(sizes);
    const uploads = await api<{ Uploads: unknown[] }>("list-multipart-uploads", "--bucket", "bucket");
    expect(uploads.Uploads).toHaveLength(1);
    const whole = JSON.stringify({ Parts: parts });
    await api("complete-multipart-upload", ...of, "--upload-id", UploadId, "--multipart-upload", whole);
    await api("get-object", ...of, "whole");
    expect(
      await hasBytes(session.path("whole"), Buffer.concat(sizes.map((size, index) => someBytes(size, index)))),
    ).toBe(true);
  });

  test("sends more files than a page of a listing has, and lists them all", async () => {
    for (let index = 0; index < manyCount; index++) await session.file(`many/${index}`, String(index));
    await aws("s3", "cp", "--recursive", "--quiet", "many", "s3://bucket/many/");
    const listed = await aws("s3", "ls", "s3://bucket/many/", "--summarize");
    expect(listed).toContain(`Total Objects: ${manyCount}\n`);
    const args = ["--bucket", "bucket", "--prefix", "many/", "--query", "length(Contents)"];
    expect(await api<number>("list-objects-v2", ...args)).toBe(manyCount);
    expect(await api<number>("list-objects", ...args)).toBe(manyCount);
  });

  test("sees folders, and what lies in one", async () => {
    expect(await aws("s3", "ls", "s3://bucket/")).toMatch(/^ +PRE many\/\n.* 11 small\.txt\n$/ms);
  });

  test("syncs a tree up and down; there is no difference, and nothing to do the second time", async () => {
    await makeTree(session.path("tree"), { count: 100, sizes: [9_000_000, 20_000_000] });
    await aws("s3", "sync", "--quiet", "tree", "s3://bucket/tree");
    await aws("s3", "sync", "--quiet", "s3://bucket/tree", "tree.back");
    expect(await session.differences("tree", "tree.back")).toBe("");
    expect(await aws("s3", "sync", "tree", "s3://bucket/tree")).toBe("");
  });

  test("a file that is gone here is gone there after a sync that deletes", async () => {
    await session.command("rm", ["-r", "tree/folder-1", "tree/50%.txt"]);
    await aws("s3", "sync", "--quiet", "--delete", "tree", "s3://bucket/tree");
    await aws("s3", "sync", "--quiet", "--delete", "s3://bucket/tree", "tree.back");
    await session.command("find", ["tree.back", "-type", "d", "-empty", "-delete"]);
    await session.command("find", ["tree", "-type", "d", "-empty", "-delete"]);
    expect(await session.differences("tree", "tree.back")).toBe("");
  });

  test("moves an object", async () => {
    await aws("s3", "mv", "s3://bucket/small.txt", "s3://bucket/moved/ü +.txt");
    expect(await aws("s3", "cp", "s3://bucket/moved/ü +.txt", "-")).toBe("a few bytes");
    await expect(aws("s3", "ls", "s3://bucket/small.txt")).rejects.toThrow("ended with 1");
  });

  test("presigns what curl then gets", async () => {
    const url = (await aws("s3", "presign", "s3://bucket/moved/ü +.txt", "--expires-in", "60")).trim();
    expect(await session.curl([url])).toBe("a few bytes");
  });

  test("tags an object, and reads its attributes and checksum", async () => {
    const of = ["--bucket", "bucket", "--key", "moved/ü +.txt"];
    await api("put-object-tagging", ...of, "--tagging", "TagSet=[{Key=team,Value=red}]");
    const tags = await api<{ TagSet: unknown }>("get-object-tagging", ...of);
    expect(tags.TagSet).toEqual([{ Key: "team", Value: "red" }]);
    const attributes = ["--object-attributes", "ETag", "ObjectSize", "StorageClass"];
    expect(await api("get-object-attributes", ...of, ...attributes)).toMatchObject({ ObjectSize: 11 });
    const checked = ["--body", "small.txt", "--checksum-algorithm", "SHA256"];
    await api("put-object", "--bucket", "bucket", "--key", "checked", ...checked);
    const head = await api("head-object", "--bucket", "bucket", "--key", "checked", "--checksum-mode", "ENABLED");
    expect(head).toHaveProperty("ChecksumSHA256");
  });

  test("keeps versions, brings one back, and deletes for good", async () => {
    const bucket = ["--bucket", "versions"];
    const of = [...bucket, "--key", "file"];
    await aws("s3", "mb", "s3://versions");
    await api("put-bucket-versioning", ...bucket, "--versioning-configuration", "Status=Enabled");
    expect(await api("get-bucket-versioning", ...bucket)).toMatchObject({ Status: "Enabled" });
    for (const text of ["first", "second"]) {
      await session.file(text, text);
      await aws("s3", "cp", text, "s3://versions/file");
    }
    await aws("s3", "rm", "s3://versions/file");
    const listed = await api<Versions>("list-object-versions", ...bucket);
    expect(listed.Versions).toHaveLength(2);
    expect(listed.DeleteMarkers).toHaveLength(1);
    await api("delete-object", ...of, "--version-id", listed.DeleteMarkers[0]!.VersionId);
    expect(await aws("s3", "cp", "s3://versions/file", "-")).toBe("second");
    await api("get-object", ...of, "--version-id", listed.Versions[1]!.VersionId, "old");
    expect(await readFile(session.path("old"), "utf8")).toBe("first");
    const Objects = listed.Versions.map(({ Key, VersionId }) => ({ Key, VersionId }));
    await api("delete-objects", ...bucket, "--delete", JSON.stringify({ Objects }));
    await aws("s3", "rb", "s3://versions");
  });

  test("a bucket that has objects is not removed, unless they are meant too", async () => {
    await expect(aws("s3", "rb", "s3://bucket")).rejects.toThrow("BucketNotEmpty");
    await aws("s3", "rb", "--force", "s3://bucket");
    expect(await aws("s3", "ls")).toBe("");
  });
});

interface Head {
  readonly ContentLength: number;
  readonly ETag: string;
  readonly PartsCount?: number;
}

interface Versions {
  readonly Versions: readonly { readonly Key: string; readonly VersionId: string }[];
  readonly DeleteMarkers: readonly { readonly VersionId: string }[];
}
