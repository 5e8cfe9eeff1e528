/** Damage on disk, as those see it who read over S3 and by ObjectID: right bytes or an error that says so, and where. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ticketDataSize } from "../src/core/frame.ts";
import { formatId } from "../src/core/ids.ts";
import type { SavedObject } from "../src/datastore/datastore.ts";
import { ObjectPieces } from "../src/gateways/s3/objects/object-pieces.ts";
import { elementsOf, type RawAnswer, S3Session, S3Socket } from "./support/s3-session.ts";
import { wireBytes } from "./support/s3-signer.ts";
import { Belongings, clientKernel, eventually, patternOf } from "./support/store.ts";

type Headers = { readonly [name: string]: string };

const t = ticketDataSize;
const belongings = new Belongings();
let session: S3Session;
beforeAll(async () => {
  session = await S3Session.open(belongings);
  await done(session.ask("PUT", "/bucket"));
  await done(session.ask("PUT", "/versions"));
  const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
  await done(session.ask("PUT", "/versions?versioning=", {}, enabled));
});
afterAll(() => belongings.giveBack());
beforeEach(() => void session.logged.splice(0));

async function done(asked: Promise<RawAnswer>): Promise<RawAnswer> {
  const answer = await asked;
  if (answer.status >= 300) throw new Error(`${answer.status}: ${answer.body.toString()}`);
  return answer;
}

async function objectOf(key: string, bucket = "bucket", version?: string): Promise<SavedObject> {
  const { datastore } = session.running.router;
  const record = await datastore.getObject((await datastore.getVersion(bucket, key, version))!.object!);
  if (record?.status !== "saved") throw new Error(`${key} is not saved`);
  return record;
}

/** Flips a bit of the ticket that has the object's byte `at`, in its Data or its Checksum; what makes it good again. */
async function damage(object: SavedObject, at: number, file: "obj" | "sum" = "obj"): Promise<() => Promise<void>> {
  if (object.content.kind === "parts") {
    let start = 0;
    for (const part of object.content.parts) {
      if (at < start + part.size) {
        const child = await session.running.router.datastore.getObject(part.object);
        return damage(child as SavedObject, at - start, file);
      }
      start += part.size;
    }
    throw new Error("beyond the end");
  }
  let index = Math.floor(at / t);
  const run = object.content.runs.find(({ count }) => index < count || (index -= count) < 0)!;
  // All that is written here lies in the first volume, whose slots are ordinals.
  const position = file === "obj" ? (run.first + index) * t + (at % t) : (run.first + index) * 8;
  const flip = async (): Promise<void> => {
    const handle = await open(path.join(session.root, file), "r+");
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, position);
    byte[0]! ^= 0x10;
    await handle.write(byte, 0, 1, position);
    await handle.close();
  };
  await flip();
  return flip;
}

const errors = (): Record<string, unknown>[] =>
  session.logged.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ level }) => level === "error");

const customer: Headers = {
  "x-amz-server-side-encryption-customer-algorithm": "AES256",
  "x-amz-server-side-encryption-customer-key": Buffer.alloc(32, 7).toString("base64"),
  "x-amz-server-side-encryption-customer-key-md5": createHash("md5").update(Buffer.alloc(32, 7)).digest("base64"),
};
const sse = { "x-amz-server-side-encryption": "AES256" };

/** All that comes before the connection ends. */
async function allOf(target: string, headers: Headers = {}): Promise<{ head: string; body: Buffer }> {
  const socket = net.connect(session.port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => void chunks.push(chunk));
  // Being cut off is one of the ends.
  socket.on("error", () => undefined);
  socket.write(wireBytes(session.sign("GET", target, { ...headers, connection: "close" })));
  await new Promise<void>((resolve) => void socket.on("close", () => resolve()));
  const all = Buffer.concat(chunks);
  const end = all.indexOf("\r\n\r\n");
  return { head: all.subarray(0, end).toString("latin1"), body: all.subarray(end + 4) };
}

interface Stored {
  readonly name: string;
  readonly path: string;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly object: () => Promise<SavedObject>;
}

const pattern = (size: number, seed: number): Buffer => Buffer.from(patternOf(size, seed));
const etagOf = ({ headers }: RawAnswer): string => headers.get("etag")!;

async function putParts(key: string, sizes: readonly number[], headers: Headers = {}): Promise<Buffer> {
  const begun = await done(session.ask("POST", `/bucket/${key}?uploads=`, headers));
  const id = /<UploadId>(.*?)</.exec(begun.body.toString())![1]!;
  const parts = sizes.map((size, index) => pattern(size, index + 50));
  const etags: string[] = [];
  for (const [index, part] of parts.entries()) {
    etags.push(
      etagOf(await done(session.ask("PUT", `/bucket/${key}?partNumber=${index + 1}&uploadId=${id}`, headers, part))),
    );
  }
  const list = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
  const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
  await done(session.ask("POST", `/bucket/${key}?uploadId=${id}`, {}, body));
  return Buffer.concat(parts);
}

async function putObject(key: string, size: number, headers: Headers = {}, bucket = "bucket"): Promise<Buffer> {
  const bytes = pattern(size, size);
  await done(session.ask("PUT", `/${bucket}/${key}`, headers, bytes));
  return bytes;
}

const kinds: readonly (readonly [name: string, store: () => Promise<Omit<Stored, "name" | "object">>])[] = [
  ["small", async () => ({ path: "/bucket/small", headers: {}, bytes: await putObject("small", 1_000) })],
  ["of several tickets", async () => ({ path: "/bucket/some", headers: {}, bytes: await putObject("some", 60_000) })],
  ["large", async () => ({ path: "/bucket/large", headers: {}, bytes: await putObject("large", 3_000_000) })],
  ["SSE-S3", async () => ({ path: "/bucket/sse", headers: {}, bytes: await putObject("sse", 700_000, sse) })],
  [
    "SSE-C",
    async () => ({ path: "/bucket/ssec", headers: customer, bytes: await putObject("ssec", 700_000, customer) }),
  ],
  [
    "in parts",
    async () => ({ path: "/bucket/parts", headers: {}, bytes: await putParts("parts", [5_242_881, 700_000]) }),
  ],
  [
    "in encrypted parts",
    async () => ({ path: "/bucket/sealed", headers: {}, bytes: await putParts("sealed", [5_242_880, 70_000], sse) }),
  ],
  [
    "a copy",
    async () => {
      const bytes = await putObject("original", 200_001);
      await done(session.ask("PUT", "/bucket/copy", { "x-amz-copy-source": "/bucket/original" }));
      await done(session.ask("DELETE", "/bucket/original"));
      return { path: "/bucket/copy", headers: {}, bytes };
    },
  ],
];

describe.each(kinds)("an object that is %s", (name, store) => {
  let stored: Stored;
  beforeAll(async () => {
    const made = await store();
    stored = { name, ...made, object: () => objectOf(made.path.slice("/bucket/".length)) };
  });

  test.each([0, 0.3, 0.5, 0.77, 1])(
    "damaged at %f of it: right bytes or an error, whole and in ranges",
    async (part) => {
      const { path: target, headers, bytes, object } = stored;
      const at = Math.min(Math.floor(bytes.length * part), bytes.length - 1);
      const heal = await damage(await object(), at, part === 0.5 ? "sum" : "obj");
      const whole = await allOf(target, headers);
      if (whole.head.startsWith("HTTP/1.1 200")) {
        expect(whole.body.length).toBeLessThan(bytes.length);
        expect(whole.body.length).toBeLessThanOrEqual(at);
        expect(whole.body.equals(bytes.subarray(0, whole.body.length))).toBe(true);
      } else expect(whole.head).toMatch(/^HTTP\/1.1 500 /);
      const head = await session.ask("HEAD", target, headers);
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(bytes.length)]);

      const hit = { ...headers, range: `bytes=${at}-${at}` };
      const refused = await session.ask("GET", target, hit);
      expect([refused.status, refused.code]).toEqual([500, "InternalError"]);
      const said = elementsOf(refused.body).get("Message")!;
      expect(said).toMatch(/^The stored object is damaged at byte \d+:/);
      const offset = Number(/byte (\d+)/.exec(said)![1]);
      expect(offset <= at && at < offset + t).toBe(true);
      expect(refused.body.toString()).not.toContain(session.root);
      // Small objects are read whole.
      if (bytes.length > 65_536) {
        const other = part < 0.5 ? [bytes.length - 5_000, bytes.length - 1] : [3, 5_000];
        const good = await session.ask("GET", target, { ...headers, range: `bytes=${other.join("-")}` });
        expect([good.status, good.body.equals(bytes.subarray(other[0], other[1]! + 1))]).toEqual([206, true]);
      }
      await heal();
      const healed = await session.ask("GET", target, headers);
      expect([healed.status, healed.body.equals(bytes)]).toEqual([200, true]);
    },
  );
});

describe("damage of the first piece", () => {
  test("is a 500 before any byte, on a connection that goes on; the log names key, version, object, offset and volume", async () => {
    await putObject("first", 2_000_000, {}, "versions");
    const { version } = (await session.running.router.datastore.getVersion("versions", "first"))!;
    await putObject("first", 900_000, {}, "versions");
    const object = await objectOf("first", "versions", version);
    const heal = await damage(object, 5 * t);
    session.logged.splice(0);
    const before = (await session.running.status())["freeBuffers"];
    const socket = await S3Socket.connect(session.port);
    for (const target of [`/versions/first?versionId=${version}`, "/versions/first"]) {
      socket.send(wireBytes(session.sign("GET", target)));
      const { status, code, body } = await socket.answer();
      expect([status, code]).toEqual(target.includes("?") ? [500, "InternalError"] : [200, undefined]);
      expect(body.length).toBe(target.includes("?") ? body.length : 900_000);
    }
    socket.close();
    expect(errors()).toContainEqual(
      expect.objectContaining({
        message: "a stored object is damaged",
        bucket: "versions",
        key: "first",
        version,
        object: formatId(object.id),
        offset: 5 * t,
        volume: expect.any(String),
        place: session.root,
      }),
    );
    await eventually(async () => {
      const { freeBuffers } = await session.running.status();
      return JSON.stringify(freeBuffers) === JSON.stringify(before);
    });
    await heal();
  });

  test("is counted, and so is that of later pieces; both are logged as errors", async () => {
    const counted = async (): Promise<number> => {
      const { body } = await session.ask("GET", "/-/metrics");
      return Number(/^data_putter_damaged_reads_total (\d+)$/m.exec(body.toString())?.[1]);
    };
    await putObject("counted", 2_000_000);
    const before = await counted();
    for (const at of [0, 1_900_000]) {
      const heal = await damage(await objectOf("counted"), at);
      session.logged.splice(0);
      await allOf("/bucket/counted");
      expect(errors()).toContainEqual(
        expect.objectContaining({ message: "a stored object is damaged", offset: at - (at % t), key: "counted" }),
      );
      await heal();
    }
    expect(await counted()).toBe(before + 2);
  });
});

test.each([
  ["before any byte", 700],
  ["after some", 1_900_000],
])("a damaged read is one line of the log, %s", async (_, at) => {
  await putObject("told", 2_000_000);
  const heal = await damage(await objectOf("told"), at);
  session.logged.splice(0);
  await allOf("/bucket/told");
  const all = session.logged.map((line) => JSON.parse(line) as Record<string, unknown>);
  // The others are those of the access log.
  const lines = all.filter(({ level }) => level !== undefined);
  const names = { bucket: "bucket", key: "told", version: "null", offset: at - (at % t), request: expect.any(String) };
  expect(lines).toEqual([expect.objectContaining({ level: "error", message: "a stored object is damaged", ...names })]);
  expect(lines[0]).not.toHaveProperty("stack");
  await heal();
});

/** As a copy of `source` is where that is damaged. */
async function refused(asked: Promise<RawAnswer>): Promise<void> {
  const { status, code, body } = await asked;
  expect([status, code]).toEqual([500, "InternalError"]);
  expect(body.toString()).toContain("is damaged at byte");
  expect(body.toString()).not.toContain(session.root);
  expect(errors()).toContainEqual(expect.objectContaining({ bucket: "bucket", key: "source", version: "null" }));
}

describe("a copy of a damaged object", () => {
  const source = { "x-amz-copy-source": "/bucket/source" };
  const large = 5_242_880 + 5;
  let heal: () => Promise<void>;
  beforeAll(async () => {
    await putObject("source", large);
    heal = await damage(await objectOf("source"), large - 1_000_000);
  });
  afterAll(() => heal());

  test("that is encrypted anew, or gets another checksum, is an error and no object", async () => {
    const before = await session.footprint();
    await refused(session.ask("PUT", "/bucket/encrypted", { ...source, ...sse }));
    await refused(session.ask("PUT", "/bucket/summed", { ...source, "x-amz-checksum-algorithm": "SHA256" }));
    expect((await session.ask("HEAD", "/bucket/encrypted")).status).toBe(404);
    expect((await session.ask("HEAD", "/bucket/summed")).status).toBe(404);
    expect(await session.footprint()).toEqual(before);
  });

  test("as a part is an error and no part; the upload goes on", async () => {
    const begun = await done(session.ask("POST", "/bucket/upload?uploads="));
    const id = /<UploadId>(.*?)</.exec(begun.body.toString())![1]!;
    const range = { "x-amz-copy-source-range": `bytes=100000-${large - 1}` };
    await refused(session.ask("PUT", `/bucket/upload?partNumber=1&uploadId=${id}`, { ...source, ...range }));
    const listed = await done(session.ask("GET", `/bucket/upload?uploadId=${id}`));
    expect(listed.body.toString()).not.toContain("<PartNumber>");
    const good = { ...source, "x-amz-copy-source-range": "bytes=0-5242" };
    await done(session.ask("PUT", `/bucket/upload?partNumber=1&uploadId=${id}`, good));
    await done(session.ask("DELETE", `/bucket/upload?uploadId=${id}`));
  });

  test("that shares its bytes shares the damage, and no other bytes", async () => {
    await done(session.ask("PUT", "/bucket/shared", source));
    const { body, head } = await allOf("/bucket/shared");
    expect(head).toMatch(/^HTTP\/1.1 200/);
    expect(body.equals(pattern(large, large).subarray(0, body.length))).toBe(true);
    expect(body.length).toBeLessThan(large);
  });
});

test("an object of a byte stream is right or an error by its id", async () => {
  const { router, responsePort } = session.running;
  const bytes = pattern(900_000, 4);
  const { id } = await router.put(bytes, { kind: "standalone" }, {});
  const object = (await router.stat(id)) as SavedObject;
  const heal = await damage(object, 300 * t);
  const client = await belongings.requests(responsePort);
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    for await (const part of client.ask("get", { a: id, b: offset, c: length + 1 })) {
      if (part.kind === "json") continue;
      const { buffer, first, count, skip, take } = part;
      expect(clientKernel().checkSums(first, count, buffer.data, buffer.sums)).toBe(count);
      pieces.push(Buffer.from(buffer.data.subarray(skip, skip + take)));
      buffer.release();
    }
    return Buffer.concat(pieces);
  };
  await expect(read(0, bytes.length)).rejects.toMatchObject({
    code: "DAMAGED",
    message: expect.stringContaining(`object ${formatId(id)} is damaged at byte ${300 * t}: `),
  });
  expect((await read(0, 300 * t)).equals(bytes.subarray(0, 300 * t))).toBe(true);
  expect((await read(301 * t, 5_000)).equals(bytes.subarray(301 * t, 301 * t + 5_000))).toBe(true);
  await heal();
  expect((await read(0, bytes.length)).equals(bytes)).toBe(true);
});

test("an answer that nobody takes gives back what was read for it", async () => {
  await putObject("untaken", 2_000_000);
  const { router } = session.running;
  const object = await objectOf("untaken");
  const before = (await session.running.status())["freeBuffers"];
  for (const taken of [0, 1]) {
    const source = router.read(object, 0, object.size);
    const options = { router, source, decrypt: undefined, explain: async (error: unknown) => error };
    const pieces = await ObjectPieces.open(options);
    for (let count = 0; count < taken; count++) (await pieces.next()).value.release();
    await pieces.return();
  }
  // Those that were read ahead come back when they are there.
  const freeBuffers = async (): Promise<string> => JSON.stringify((await session.running.status())["freeBuffers"]);
  await eventually(async () => (await freeBuffers()) === JSON.stringify(before));
  expect(await freeBuffers()).toBe(JSON.stringify(before));
});
