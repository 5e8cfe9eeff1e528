/** s3cmd, which asks in XML of its own, signs URLs as of 2006 and puts files' attributes into metadata. */
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

describeSession("s3cmd", (session) => {
  const s3cmd = (...args: readonly string[]): Promise<string> => session.run(["--no-progress", ...args]);
  const listed = async (...args: readonly string[]): Promise<string[]> =>
    (await s3cmd("ls", ...args)).split("\n").filter((line) => line !== "");

  beforeAll(async () => {
    const settings = {
      access_key: accessKey,
      secret_key: secretKey,
      host_base: session.host,
      host_bucket: session.host,
      bucket_location: region,
      use_https: "False",
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    await session.file("home/.s3cfg", `[default]\n${lines.join("")}`);
  });

  test("makes a bucket and sees it", async () => {
    await s3cmd("mb", "s3://bucket");
    expect(await listed()).toEqual([expect.stringMatching(/ s3:\/\/bucket$/)]);
    expect(await s3cmd("info", "s3://bucket")).toContain(`Location:  ${region}`);
  });

  test("puts a small file, says its type, and gets it back", async () => {
    await session.file("small.txt", "a few bytes");
    await s3cmd("put", "--add-header=x-amz-meta-colour:blue", "small.txt", "s3://bucket/small.txt");
    const said = await s3cmd("info", "s3://bucket/small.txt");
    expect(said).toMatch(/File size: 11\n/);
    expect(said).toMatch(/MIME type: text\/plain\n/);
    expect(said).toMatch(/x-amz-meta-colour: blue\n/);
    await s3cmd("get", "s3://bucket/small.txt", "small.back");
    expect(await hasBytes(session.path("small.back"), Buffer.from("a few bytes"))).toBe(true);
  });

  test("puts and gets 100 MB in parts, and checks its MD5", async () => {
    await session.file("large", someBytes(largeSize, 1));
    await s3cmd("put", "large", "s3://bucket/large");
    await s3cmd("get", "s3://bucket/large", "large.back");
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
    expect(await s3cmd("multipart", "s3://bucket")).not.toContain("large");
  });

  test("goes on with a file of which it has a part", async () => {
    await session.command("truncate", ["--size=40M", "large.back"]);
    await s3cmd("get", "--continue", "s3://bucket/large", "large.back");
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
  });

  test("copies and moves within the store, 100 MB too", async () => {
    await s3cmd("cp", "s3://bucket/large", "s3://bucket/large copy");
    await s3cmd("mv", "s3://bucket/small.txt", "s3://bucket/moved/ü +%.txt");
    expect(await listed("s3://bucket/large copy")).toEqual([expect.stringContaining(` ${largeSize} `)]);
    expect(await listed("s3://bucket/small.txt")).toEqual([]);
    await s3cmd("get", "s3://bucket/moved/ü +%.txt", "moved.back");
    expect(await hasBytes(session.path("moved.back"), Buffer.from("a few bytes"))).toBe(true);
  });

  test("changes an object's metadata in its place", async () => {
    await s3cmd("modify", "--add-header=content-type:text/x-new", "s3://bucket/moved/ü +%.txt");
    expect(await s3cmd("info", "s3://bucket/moved/ü +%.txt")).toMatch(/MIME type: text\/x-new\n/);
  });

  test("sends more files than a page of a listing has, lists and counts them all", async () => {
    for (let index = 0; index < manyCount; index++) await session.file(`many/${index}`, String(index));
    await s3cmd("put", "--recursive", "--quiet", "many", "s3://bucket/");
    expect(await listed("--recursive", "s3://bucket/many/")).toHaveLength(manyCount);
    expect(await s3cmd("du", "s3://bucket/many/")).toContain(` ${manyCount} objects `);
  });

  test("sees folders, and what lies in one", async () => {
    const lines = await listed("s3://bucket/");
    expect(lines).toContainEqual(expect.stringMatching(/ DIR +s3:\/\/bucket\/many\/$/));
    expect(lines).toContainEqual(expect.stringMatching(/ s3:\/\/bucket\/large$/));
  });

  test("syncs a tree up and down; there is no difference, and nothing to do the second time", async () => {
    await makeTree(session.path("tree"), { count: 100, sizes: [9_000_000, 20_000_000] });
    await s3cmd("sync", "tree/", "s3://bucket/tree/");
    await session.command("mkdir", ["tree.back"]);
    await s3cmd("sync", "s3://bucket/tree/", "tree.back/");
    expect(await session.differences("tree", "tree.back")).toBe("");
    expect(await s3cmd("sync", "tree/", "s3://bucket/tree/")).toBe("");
  });

  test("a file that is gone here is gone there after a sync that deletes", async () => {
    await session.command("rm", ["-r", "tree/folder-1", "tree/50%.txt"]);
    await s3cmd("sync", "--delete-removed", "tree/", "s3://bucket/tree/");
    await session.command("mkdir", ["tree.again"]);
    await s3cmd("sync", "s3://bucket/tree/", "tree.again/");
    expect(await session.differences("tree", "tree.again")).toBe("");
  });

  test("signs what curl then gets", async () => {
    const url = (await s3cmd("signurl", "s3://bucket/moved/ü +%.txt", "+60")).trim();
    expect(await session.curl([url])).toBe("a few bytes");
  });

  test("does the same with signatures of version 2", async () => {
    await s3cmd("--signature-v2", "put", "large", "s3://bucket/old/large");
    await s3cmd("--signature-v2", "get", "s3://bucket/old/large", "old.back");
    expect(await digestOf(session.path("old.back"))).toBe(await digestOf(session.path("large")));
    await s3cmd("--signature-v2", "rm", "s3://bucket/old/large");
    expect(await listed("s3://bucket/old/")).toEqual([]);
  });

  test("sets a policy, CORS and lifecycle rules, and takes them away", async () => {
    const Resource = "arn:aws:s3:::bucket/public/*";
    const Statement = [{ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource }];
    await session.file("policy.json", JSON.stringify({ Version: "2012-10-17", Statement }));
    await session.file("cors.xml", cors);
    await s3cmd("setpolicy", "policy.json", "s3://bucket");
    await s3cmd("setcors", "cors.xml", "s3://bucket");
    await s3cmd("expire", "--expiry-days=3", "--expiry-prefix=old/", "s3://bucket");
    const said = await s3cmd("info", "s3://bucket");
    expect(said).toContain(Resource);
    expect(said).toContain("<AllowedMethod>GET</AllowedMethod>");
    expect(said).toMatch(/Expiration Rule: objects with key prefix 'old\/' will expire in '3' day/);
    await s3cmd("delpolicy", "s3://bucket");
    await s3cmd("delcors", "s3://bucket");
    await s3cmd("dellifecycle", "s3://bucket");
    expect(await s3cmd("info", "s3://bucket")).toMatch(/Expiration Rule: none\n.*Policy: +none\n.*CORS: +none\n/s);
  });

  test("a bucket that has objects is not removed, unless they are meant too", async () => {
    await expect(s3cmd("rb", "s3://bucket")).rejects.toThrow("BucketNotEmpty");
    await s3cmd("rm", "s3://bucket/large");
    await s3cmd("rb", "--recursive", "--force", "s3://bucket");
    expect(await listed()).toEqual([]);
  });
});

const cors =
  "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>";
