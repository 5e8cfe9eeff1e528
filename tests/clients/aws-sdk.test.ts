/** The AWS SDK for JavaScript v3 as it comes: its checksums, its retries, its way to name a bucket. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  BucketAlreadyOwnedByYou,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  NoSuchBucket,
  NoSuchKey,
  NotFound,
  paginateListObjectsV2,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  S3Client,
  UploadPartCopyCommand,
  waitUntilBucketExists,
  waitUntilObjectExists,
  waitUntilObjectNotExists,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import {
  accessKey,
  describeSession,
  digestOf,
  largeSize,
  makeTree,
  manyCount,
  putObjects,
  sdkClient,
  secretKey,
  type Session,
} from "./support.ts";

const Bucket = "bucket";
const large = someBytes(largeSize, 1);

function steps(session: Session): void {
  let s3: S3Client;
  const textOf = async (Key: string, VersionId?: string): Promise<string> => {
    const { Body } = await s3.send(
      new GetObjectCommand({ Bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) }),
    );
    return Body!.transformToString();
  };
  /** The first 25 MiB of "large", then the rest. */
  const half = 25 << 20;

  beforeAll(async () => {
    s3 = sdkClient(session);
    await session.file("large", large);
  });

  test("makes a bucket, waits for it, and sees it", async () => {
    await s3.send(new CreateBucketCommand({ Bucket }));
    await waitUntilBucketExists({ client: s3, maxWaitTime: 10 }, { Bucket });
    const { Buckets } = await s3.send(new ListBucketsCommand({}));
    expect(Buckets?.map(({ Name }) => Name)).toEqual([Bucket]);
    await s3.send(new HeadBucketCommand({ Bucket }));
  });

  test("errors are of the SDK's own classes", async () => {
    await expect(s3.send(new HeadBucketCommand({ Bucket: "nothing" }))).rejects.toBeInstanceOf(NotFound);
    await expect(s3.send(new ListObjectsV2Command({ Bucket: "nothing" }))).rejects.toBeInstanceOf(NoSuchBucket);
    await expect(s3.send(new GetObjectCommand({ Bucket, Key: "nothing" }))).rejects.toBeInstanceOf(NoSuchKey);
    await expect(s3.send(new HeadObjectCommand({ Bucket, Key: "nothing" }))).rejects.toBeInstanceOf(NotFound);
    // In us-east-1 S3 says OK to its owner.
    const LocationConstraint = "eu-west-1" as const;
    const elsewhere = { Bucket: "elsewhere", CreateBucketConfiguration: { LocationConstraint } };
    await s3.send(new CreateBucketCommand(elsewhere));
    await expect(s3.send(new CreateBucketCommand(elsewhere))).rejects.toBeInstanceOf(BucketAlreadyOwnedByYou);
    await s3.send(new DeleteBucketCommand({ Bucket: "elsewhere" }));
  });

  test("puts and gets a small object with its type, metadata and tags", async () => {
    const own = { ContentType: "text/x-small", CacheControl: "no-cache", Metadata: { colour: "blue" } };
    await s3.send(new PutObjectCommand({ Bucket, Key: "small", Body: "a few bytes", ...own, Tagging: "team=red" }));
    await waitUntilObjectExists({ client: s3, maxWaitTime: 10 }, { Bucket, Key: "small" });
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: "small" }))).toMatchObject({ ...own, ContentLength: 11 });
    expect(await textOf("small")).toBe("a few bytes");
    const { TagSet } = await s3.send(new GetObjectTaggingCommand({ Bucket, Key: "small" }));
    expect(TagSet).toEqual([{ Key: "team", Value: "red" }]);
    await s3.send(new PutObjectTaggingCommand({ Bucket, Key: "small", Tagging: { TagSet: [] } }));
    await s3.send(new PutObjectCommand({ Bucket, Key: "empty", Body: "" }));
    expect(await textOf("empty")).toBe("");
  });

  test("sends a file as a stream, in chunks with a checksum at their end", async () => {
    const put = { Bucket, Key: "streamed", Body: createReadStream(session.path("large"), { end: half - 1 }) };
    const answer = await s3.send(new PutObjectCommand({ ...put, ContentLength: half }));
    expect(answer.ChecksumCRC32).toMatch(/^[\w+/]{6}==$/);
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: "streamed" }));
    expect(large.subarray(0, half).equals(await Body!.transformToByteArray())).toBe(true);
  });

  test.each(["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] as const)(
    "gives %s and checks it",
    async (algorithm) => {
      await s3.send(new PutObjectCommand({ Bucket, Key: algorithm, Body: "checked", ChecksumAlgorithm: algorithm }));
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: algorithm, ChecksumMode: "ENABLED" }));
      expect(head[`Checksum${algorithm}`]).toMatch(/^[\w+/]+=*$/);
      expect(await textOf(algorithm)).toBe("checked");
    },
  );

  test("uploads 100 MB in parts and gets the same bytes", async () => {
    const params = { Bucket, Key: "large", Body: createReadStream(session.path("large")) };
    const done = await new Upload({ client: s3, params }).done();
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-20"$/);
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: "large" }));
    await pipeline(Body as Readable, createWriteStream(session.path("large.back")));
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
    const ObjectAttributes = ["ObjectParts" as const, "ObjectSize" as const, "Checksum" as const];
    const attributes = await s3.send(new GetObjectAttributesCommand({ Bucket, Key: "large", ObjectAttributes }));
    expect(attributes).toMatchObject({ ObjectSize: largeSize, ObjectParts: { TotalPartsCount: 20 } });
  });

  test("an upload that is given up leaves nothing", async () => {
    const params = { Bucket, Key: "given up", Body: large };
    const upload = new Upload({ client: s3, params, queueSize: 1 });
    upload.on("httpUploadProgress", ({ part }) => void (part === 2 && upload.abort()));
    await expect(upload.done()).rejects.toThrow("aborted");
    // It rejects before it has told the store.
    const left = async (): Promise<unknown> => (await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads;
    await expect.poll(left, { timeout: 60_000 }).toBeUndefined();
    await expect(s3.send(new HeadObjectCommand({ Bucket, Key: "given up" }))).rejects.toBeInstanceOf(NotFound);
  });

  test.each([
    ["bytes=0-9", 0, 10],
    ["bytes=50000000-50999999", 50_000_000, 51_000_000],
    ["bytes=-5", largeSize - 5, largeSize],
    ["bytes=99999990-", largeSize - 10, largeSize],
  ])("gets the range %s", async (Range, start, end) => {
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key: "large", Range }));
    expect(answer.ContentRange).toBe(`bytes ${start}-${end - 1}/${largeSize}`);
    expect(large.subarray(start, end).equals(await answer.Body!.transformToByteArray())).toBe(true);
  });

  test("copies an object, and puts one together of ranges of another", async () => {
    await s3.send(new CopyObjectCommand({ Bucket, Key: "copies/ü +%", CopySource: `${Bucket}/small` }));
    expect(await textOf("copies/ü +%")).toBe("a few bytes");
    const of = { Bucket, Key: "put together" };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(of));
    const Parts = [];
    for (const [index, range] of [`${half}-${largeSize - 1}`, `0-${half - 1}`].entries()) {
      const source = { CopySource: `${Bucket}/large`, CopySourceRange: `bytes=${range}` };
      const copy = new UploadPartCopyCommand({ ...of, UploadId, PartNumber: index + 1, ...source });
      const { CopyPartResult } = await s3.send(copy);
      Parts.push({ PartNumber: index + 1, ETag: CopyPartResult!.ETag });
    }
    await s3.send(new CompleteMultipartUploadCommand({ ...of, UploadId, MultipartUpload: { Parts } }));
    const { Body } = await s3.send(new GetObjectCommand(of));
    const expected = Buffer.concat([large.subarray(half), large.subarray(0, half)]);
    expect(expected.equals(await Body!.transformToByteArray())).toBe(true);
  });

  test("writes on condition: one of many who make the same object wins", async () => {
    const put = (index: number): Promise<unknown> =>
      s3.send(new PutObjectCommand({ Bucket, Key: "once", Body: String(index), IfNoneMatch: "*" }));
    const all = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => put(index)));
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const { ETag } = await s3.send(new HeadObjectCommand({ Bucket, Key: "once" }));
    await s3.send(new PutObjectCommand({ Bucket, Key: "once", Body: "new", IfMatch: ETag }));
    const late = s3.send(new PutObjectCommand({ Bucket, Key: "once", Body: "late", IfMatch: ETag }));
    await expect(late).rejects.toMatchObject({ name: "PreconditionFailed" });
    expect(await textOf("once")).toBe("new");
  });

  test("lists more objects than a page has, page by page, and by folders", async () => {
    const keys = Array.from({ length: manyCount }, (_, index) => `many/${String(index).padStart(4, "0")}`);
    await putObjects(s3, Bucket, keys);
    const pages = [];
    for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: "many/" })) pages.push(page);
    expect(pages.map(({ KeyCount }) => KeyCount)).toEqual([1000, 100]);
    expect(pages.flatMap(({ Contents }) => Contents!.map(({ Key }) => Key))).toEqual(keys);
    const folders = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }));
    expect(folders.CommonPrefixes).toEqual([{ Prefix: "copies/" }, { Prefix: "many/" }]);
    const old = await s3.send(new ListObjectsCommand({ Bucket, Prefix: "many/", Marker: "many/0999" }));
    expect(old.Contents).toHaveLength(100);
  });

  test("signs URLs by which curl puts, heads, gets and deletes", async () => {
    const of = { Bucket, Key: "signed/ü +%" };
    await session.file("sent", "by curl");
    await session.curl(["--upload-file", "sent", await getSignedUrl(s3, new PutObjectCommand(of))]);
    const head = await session.curl(["--head", await getSignedUrl(s3, new HeadObjectCommand(of))]);
    expect(head).toMatch(/^content-length: 7\r$/im);
    const asked = new GetObjectCommand({ ...of, ResponseContentDisposition: 'attachment; filename="x"' });
    expect(await session.curl(["--include", await getSignedUrl(s3, asked, { expiresIn: 60 })])).toMatch(
      /^content-disposition: attachment; filename="x"\r\n.*by curl$/ims,
    );
    await session.curl(["--request", "DELETE", await getSignedUrl(s3, new DeleteObjectCommand(of))]);
    await waitUntilObjectNotExists({ client: s3, maxWaitTime: 10 }, of);
  });

  test("sends a tree and fetches it; there is no difference", async () => {
    await makeTree(session.path("tree"), { count: 200, sizes: [9_000_000, 20_000_000] });
    const entries = await readdir(session.path("tree"), { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((found) => found.isFile())) {
      const file = path.join(entry.parentPath, entry.name);
      const params = { Bucket, Key: path.relative(session.path(), file), Body: createReadStream(file) };
      await new Upload({ client: s3, params }).done();
    }
    for await (const { Contents } of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: "tree/" })) {
      for (const { Key } of Contents!) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        const file = session.path("back", Key!);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, await Body!.transformToByteArray());
      }
    }
    expect(await session.differences("tree", "back/tree")).toBe("");
  });

  test("keeps versions, brings one back, and deletes for good", async () => {
    const of = { Bucket, Key: "versioned" };
    const VersioningConfiguration = { Status: "Enabled" as const };
    await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe("Enabled");
    const first = await s3.send(new PutObjectCommand({ ...of, Body: "first" }));
    await s3.send(new PutObjectCommand({ ...of, Body: "second" }));
    const marker = await s3.send(new DeleteObjectCommand(of));
    expect(marker.DeleteMarker).toBe(true);
    await expect(textOf("versioned")).rejects.toBeInstanceOf(NoSuchKey);
    expect(await textOf("versioned", first.VersionId)).toBe("first");
    await s3.send(new DeleteObjectCommand({ ...of, VersionId: marker.VersionId }));
    expect(await textOf("versioned")).toBe("second");
  });

  test("names a bucket before the host, where the host has a name", async () => {
    // Not every system resolves what is below localhost.
    const httpAgent = new Agent({ lookup: (_host, options, done) => answerLoopback(options, done) });
    const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
    const endpoint = `http://localhost:${session.port}`;
    const other = new S3Client({ endpoint, region: "eu-north-1", credentials, requestHandler: { httpAgent } });
    const { Body } = await other.send(new GetObjectCommand({ Bucket, Key: "copies/ü +%" }));
    expect(await Body!.transformToString()).toBe("a few bytes");
  });

  test("deletes a thousand objects at once", async () => {
    const keys = Array.from({ length: 1000 }, (_, index) => ({ Key: `many/${String(index).padStart(4, "0")}` }));
    const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys } }));
    expect(answer.Deleted).toHaveLength(1000);
    expect(answer.Errors ?? []).toEqual([]);
    const left = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "many/" }));
    expect(left.KeyCount).toBe(100);
  });
}

type Answer = (error: null, address: string | { address: string; family: number }[], family?: number) => void;

function answerLoopback({ all }: { readonly all?: boolean | undefined }, done: Answer): void {
  if (all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
}

describeSession("AWS SDK for JavaScript", steps);
