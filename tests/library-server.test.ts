/** `startServer`: S3 for test suites (docs/library.md), seen by the AWS SDK, and beside `openStore` on the same directory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fakeClock, openStore, type Server, startServer } from "../src/index.ts";

const dayMs = 86_400_000;
let place: string;

beforeAll(async () => {
  place = await mkdtemp(path.join(os.tmpdir(), "library-"));
});

afterAll(async () => {
  await rm(place, { recursive: true });
});

async function withClient<Value>(server: Server, work: (client: S3Client) => Promise<Value>): Promise<Value> {
  const client = new S3Client({ ...server.config, maxAttempts: 2 });
  try {
    return await work(client);
  } finally {
    client.destroy();
  }
}

async function nameOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: Error) => error.name,
  );
}

test("ten servers in one process know nothing of each other", async () => {
  const servers = await Promise.all(Array.from({ length: 10 }, () => startServer({ inMemory: true })));
  expect(new Set(servers.map(({ port }) => port)).size).toBe(10);
  await Promise.all(
    servers.map((server, index) =>
      withClient(server, async (client) => {
        await client.send(new CreateBucketCommand({ Bucket: "same" }));
        await client.send(new PutObjectCommand({ Bucket: "same", Key: "k", Body: `server ${index}` }));
      }),
    ),
  );
  for (const [index, server] of servers.entries()) {
    await withClient(server, async (client) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: "same", Key: "k" }));
      expect(await Body!.transformToString()).toBe(`server ${index}`);
    });
  }
  await Promise.all(servers.map((server) => server.close()));
});

describe("what the options say is there", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({
      inMemory: true,
      buckets: [
        "plain",
        { name: "versioned", versioning: true },
        { name: "shared", cors: [{ origins: ["https://example.com"], methods: ["GET"] }] },
        {
          name: "public",
          policy: {
            Version: "2012-10-17",
            Statement: { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::public/*" },
          },
        },
        { name: "hers", owner: "ann" },
      ],
      users: [{ name: "ann" }, { name: "reader", readOnly: true, accessKeyId: "READER", secretAccessKey: "secret" }],
    });
  });
  afterAll(async () => {
    await server.close();
  });

  test("the config goes straight into a client", async () => {
    expect(server.config).toEqual({
      endpoint: `http://127.0.0.1:${server.port}`,
      region: "us-east-1",
      credentials: { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" },
      forcePathStyle: true,
    });
    const { Buckets } = await withClient(server, (client) => client.send(new ListBucketsCommand({})));
    expect(Buckets!.map(({ Name }) => Name)).toEqual(["plain", "public", "shared", "versioned"]);
  });

  test("versions are kept", async () => {
    const put = new PutObjectCommand({ Bucket: "versioned", Key: "k", Body: "x" });
    expect((await withClient(server, (client) => client.send(put))).VersionId).toMatch(/^\d{16}$/);
  });

  test("a policy lets anybody read, CORS answers", async () => {
    await withClient(server, async (client) => {
      await client.send(new PutObjectCommand({ Bucket: "public", Key: "k", Body: "for all" }));
      await client.send(new PutObjectCommand({ Bucket: "shared", Key: "k", Body: "not for all" }));
    });
    expect(await (await fetch(`${server.endpoint}/public/k`)).text()).toBe("for all");
    const refused = await fetch(`${server.endpoint}/shared/k`, { headers: { Origin: "https://example.com" } });
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBe("https://example.com");
    await refused.arrayBuffer();
  });

  test("users have keys of their own, with limits", async () => {
    expect(server.users["reader"]).toEqual({ accessKeyId: "READER", secretAccessKey: "secret" });
    const put = (): PutObjectCommand => new PutObjectCommand({ Bucket: "plain", Key: "k", Body: "x" });
    const by = (name: string): Server => ({
      ...server,
      config: { ...server.config, credentials: server.users[name]! },
    });
    expect(await nameOf(withClient(by("reader"), (client) => client.send(put())))).toBe("AccessDenied");
    expect(await nameOf(withClient(by("ann"), (client) => client.send(put())))).toBe("AccessDenied");
    const hers = await withClient(by("ann"), (client) => client.send(new ListBucketsCommand({})));
    expect(hers.Buckets!.map(({ Name }) => Name)).toEqual(["hers"]);
  });

  test("reset brings all of it back to how it began", async () => {
    await withClient(server, async (client) => {
      await client.send(new CreateBucketCommand({ Bucket: "another" }));
      await client.send(new PutObjectCommand({ Bucket: "plain", Key: "k", Body: "x" }));
      await client.send(new CreateMultipartUploadCommand({ Bucket: "plain", Key: "k" }));
      await server.reset();
      const { Buckets } = await client.send(new ListBucketsCommand({}));
      expect(Buckets!.map(({ Name }) => Name)).toEqual(["plain", "public", "shared", "versioned"]);
      expect((await client.send(new ListObjectsV2Command({ Bucket: "plain" }))).KeyCount).toBe(0);
      await client.send(new PutObjectCommand({ Bucket: "public", Key: "k", Body: "again" }));
    });
    expect(await (await fetch(`${server.endpoint}/public/k`)).text()).toBe("again");
  });
});

test("options that are wrong are named, and nothing is left of the server", async () => {
  await expect(startServer({} as never)).rejects.toThrow(/^root, inMemory: /);
  await expect(startServer({ inMemory: true, accessKeyId: "A" })).rejects.toThrow(/^accessKeyId, secretAccessKey: /);
  await expect(startServer({ inMemory: true, buckets: ["X"] })).rejects.toThrow(/^bucket X: /);
  await expect(startServer({ inMemory: true, buckets: [{ name: "abc", policy: "{" }] })).rejects.toThrow(/bucket abc/);
  await expect(startServer({ inMemory: true, buckets: [{ name: "abc", owner: "ann" }] })).rejects.toThrow(/ann/);
  const server = await startServer({ inMemory: true });
  await expect(startServer({ inMemory: true, port: server.port })).rejects.toThrow(/something else listens there/);
  await server.close();
});

describe("a fake clock", () => {
  test("moves dates, lifecycle and object lock, and clients' signatures follow", async () => {
    const clock = fakeClock();
    await using server = await startServer({
      inMemory: true,
      clock,
      buckets: [
        { name: "locked", objectLock: { mode: "COMPLIANCE", days: 30 } },
        {
          name: "fleeting",
          lifecycle:
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>7</Days></Expiration></Rule></LifecycleConfiguration>",
        },
      ],
    });
    await withClient(server, async (client) => {
      const { VersionId } = await client.send(new PutObjectCommand({ Bucket: "locked", Key: "k", Body: "x" }));
      await client.send(new PutObjectCommand({ Bucket: "fleeting", Key: "k", Body: "x" }));
      const count = async (): Promise<number | undefined> =>
        (await client.send(new ListObjectsV2Command({ Bucket: "fleeting" }))).KeyCount;
      clock.advance(6 * dayMs);
      await server.runLifecycle();
      expect(await count()).toBe(1);
      clock.advance(3 * dayMs);
      await server.runLifecycle();
      expect(await count()).toBe(0);
      const remove = (): DeleteObjectCommand => new DeleteObjectCommand({ Bucket: "locked", Key: "k", VersionId });
      expect(await nameOf(client.send(remove()))).toBe("AccessDenied");
      clock.advance(30 * dayMs);
      expect(await nameOf(client.send(remove()))).toBe("no error");
      await client.send(new PutObjectCommand({ Bucket: "fleeting", Key: "late", Body: "x" }));
      const { LastModified } = await client.send(new HeadObjectCommand({ Bucket: "fleeting", Key: "late" }));
      expect(LastModified!.getTime()).toBe(Math.floor(clock.now() / 1000) * 1000);
    });
  });

  test("starts what was planned for the time up to then, in order, and nothing that was cancelled", () => {
    const clock = fakeClock(new Date(0));
    const done: string[] = [];
    clock.after(3_000_000, () => done.push("late"));
    clock.after(2_000_000, () => {
      done.push("early");
      cancelled.cancel();
    });
    const cancelled = clock.after(2_500_000, () => done.push("cancelled"));
    clock.advance(1_999_999);
    expect(done).toEqual([]);
    clock.advance(5_000_000);
    expect(done).toEqual(["early", "late"]);
    expect(clock.now()).toBe(6_999_999);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });
});

describe("one directory, in process and over S3", () => {
  const header = fc.string({ unit: "grapheme-ascii", maxLength: 30 }).map((text) => text.trim());
  const object = fc.record({
    key: fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 60 })
      .filter(
        (key) => !/\0|\p{Surrogate}/u.test(key) && !/(^|\/)\.\.?(\/|$)/.test(key) && Buffer.byteLength(key) < 1024,
      ),
    body: fc.oneof(fc.uint8Array({ maxLength: 5_000 }), fc.integer({ min: 1, max: 300_000 }).map(sized)),
    contentType: fc.option(
      header.filter((text) => text !== ""),
      { nil: undefined },
    ),
    metadata: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/), header),
  });

  test("what one puts the other gets: bytes, ETag, type, metadata", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(object, { minLength: 1, maxLength: 12, selector: ({ key }) => key }),
        async (objects) => {
          const root = path.join(place, `both-${run++}`);
          const put = {
            inProcess: objects.filter((_, index) => index % 2 === 0),
            overS3: objects.filter((_, index) => index % 2 === 1),
          };
          const first = await openStore({ root, durability: "os" });
          await first.createBucket("both");
          for (const { key, body, contentType, metadata } of put.inProcess) {
            await first.put("both", key, body, { metadata, ...(contentType === undefined ? {} : { contentType }) });
          }
          await first.close();
          const server = await startServer({ root, durability: "os" });
          await withClient(server, async (client) => {
            for (const { key, body, contentType, metadata } of put.inProcess) {
              const got = await client.send(new GetObjectCommand({ Bucket: "both", Key: key }));
              const bytes = await got.Body!.transformToByteArray();
              expect(Buffer.from(bytes).equals(body)).toBe(true);
              expect(got.ContentType).toBe(contentType ?? "binary/octet-stream");
              expect(got.Metadata).toEqual(metadata);
            }
            for (const { key, body, contentType, metadata } of put.overS3) {
              await client.send(
                new PutObjectCommand({
                  Bucket: "both",
                  Key: key,
                  Body: body,
                  Metadata: metadata,
                  ContentType: contentType,
                }),
              );
            }
          });
          await server.close();
          const last = await openStore({ root, durability: "os" });
          for (const { key, body, contentType, metadata } of put.overS3) {
            const got = (await last.get("both", key))!;
            expect(Buffer.from(await got.body.bytes()).equals(body)).toBe(true);
            expect(got).toMatchObject({ metadata, contentType: contentType ?? "application/octet-stream" });
            // The same bytes have the same ETag, whoever stores them.
            expect((await last.put("both", key, body)).etag).toBe(got.etag);
          }
          await last.close();
        },
      ),
      { numRuns: 5 },
    );
  });
});

function sized(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + size) % 256);
}

describe("as a process of its own", () => {
  const entry = fileURLToPath(new URL("../dist/index.js", import.meta.url));

  test("ends by itself when the server is closed, and prints nothing", async () => {
    const { output, code } = await script(`
      const server = await startServer({ inMemory: true, buckets: ["abc"] });
      await fetch(server.endpoint).then((answer) => answer.text());
      await server.close();
      const store = await openStore({ root: ${JSON.stringify(path.join(place, "left-open"))} });
      await store.createBucket("abc");
      await store.put("abc", "k", "x".repeat(1_000_000));`).ended;
    expect({ output, code }).toEqual({ output: "", code: 0 });
  });

  test("what it kept in memory goes when it exits, and when it is killed, with the next server", async () => {
    const start = "const s = await startServer({ inMemory: true }); const fs = await import('node:fs');";
    const tell = `for (const parent of ["/dev/shm", (await import("node:os")).tmpdir()])
      if (fs.existsSync(parent)) for (const name of fs.readdirSync(parent))
        if (name.startsWith("data-putter-memory-" + process.pid + "-")) console.log(parent + "/" + name);`;
    const exited = await script(`${start}${tell} process.exit(0);`).ended;
    expect(exited.output).toContain("data-putter-memory-");
    expect(existsSync(exited.output.trim())).toBe(false);
    const killed = script(`${start}${tell} console.log("ready");`);
    await killed.says("ready");
    killed.child.kill("SIGKILL");
    const left = (await killed.ended).output.split("\n")[0]!;
    expect(existsSync(left)).toBe(true);
    const next = await startServer({ inMemory: true });
    expect(existsSync(left)).toBe(false);
    await next.close();
  });

  function script(code: string): {
    readonly child: ReturnType<typeof spawn>;
    says(text: string): Promise<void>;
    readonly ended: Promise<{ output: string; code: number | null }>;
  } {
    const text = `import { openStore, startServer } from ${JSON.stringify(entry)};\n${code}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
    const says = async (wanted: string): Promise<void> => {
      while (!output.includes(wanted)) await once(child.stdout, "data");
    };
    return { child, says, ended: once(child, "close").then(([status]) => ({ output, code: status as number | null })) };
  }
});
