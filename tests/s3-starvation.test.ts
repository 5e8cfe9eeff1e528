/**
 * One client that is slow on purpose does not keep others from being served; and the limits that see to it, each through
 * its option. Memory and limits are small here, so that it comes to the point soon; the machine's are larger, no different.
 */
import net from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { problemOf, type RawAnswer, S3Session, S3Socket, type SessionOptions } from "./support/s3-session.ts";
import { signHeader, wireBytes } from "./support/s3-signer.ts";
import { Belongings, eventually } from "./support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const arena = { tiny: 64, block: 12, group: 1 };
const megabyte = 1024 * 1024;

async function open(options: SessionOptions = {}): Promise<S3Session> {
  const session = await S3Session.open(belongings, options);
  await session.ask("PUT", "/bucket");
  return session;
}

async function connect(session: S3Session, from?: string): Promise<S3Socket> {
  const socket = await S3Socket.connect(session.port, from);
  belongings.add(() => socket.close());
  return socket;
}

/** The head of a PUT of so many bytes. */
function headOfPut({ keys, endpoint }: S3Session, path: string, size: number): Uint8Array {
  const head = signHeader(keys, { method: "PUT", url: `${endpoint}${path}`, payload: "unsigned" });
  return wireBytes(head, { "content-length": String(size) });
}

/** Objects of every way through the store: of one ticket, of one block, of several. Each soon. */
async function othersAreServed(session: S3Session): Promise<boolean> {
  for (const size of [100, 60_000, 1_000_000]) {
    const body = Buffer.alloc(size, "others ");
    expect((await soon(session.ask("PUT", `/bucket/other-${size}`, {}, body))).status).toBe(200);
    expect((await soon(session.ask("GET", `/bucket/other-${size}`))).body.equals(body)).toBe(true);
  }
  return true;
}

/** A client that starved would wait until those who are slow on purpose are cut off: twenty seconds and more. */
function soon(answer: Promise<RawAnswer>): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("not answered within 10 seconds")), 10_000);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

const freeBlocks = async ({ running }: S3Session): Promise<number> =>
  ((await running.status())["freeBuffers"] as { block: number }).block;

describe("others are served", () => {
  it.each([
    ["as it is", {}],
    ["encrypted", { "x-amz-server-side-encryption": "AES256" }],
  ])("while nobody reads the large objects that were asked for: %s", async (_, headers) => {
    const session = await open({ arena });
    await session.ask("PUT", "/bucket/large", headers, Buffer.alloc(24 * megabyte, "large "));
    await eventually(async () => (await freeBlocks(session)) === arena.block);
    const readers: net.Socket[] = [];
    for (let count = 0; count < 20; count++) {
      const reader = net.connect(session.port, "127.0.0.1");
      belongings.add(() => void reader.destroy());
      reader.write(wireBytes(session.sign("GET", "/bucket/large")));
      readers.push(reader);
    }
    // The system's buffers take a few megabytes each; then it comes to ours.
    expect(await othersAreServed(session)).toBe(true);
    await eventually(async () => (await freeBlocks(session)) >= arena.block / 2);
    expect(await othersAreServed(session)).toBe(true);
    // Whoever reads after all gets all of it.
    let size = 0;
    readers[0]!.on("data", (piece) => (size += piece.length));
    await eventually(() => size > 24 * megabyte);
    for (const reader of readers) reader.destroy();
    await eventually(async () => (await freeBlocks(session)) === arena.block);
  });

  it("while large uploads trickle in", async () => {
    const session = await open({ arena });
    const uploads: S3Socket[] = [];
    for (let count = 0; count < 60; count++) {
      const upload = await connect(session);
      upload.send(headOfPut(session, `/bucket/upload-${count}`, 64 * megabyte));
      uploads.push(upload);
    }
    const drip = setInterval(() => {
      for (const upload of uploads) upload.send(Buffer.alloc(3_000, "drip"));
    }, 50);
    try {
      await eventually(async () => (await freeBlocks(session)) === 0);
      for (const size of [100, 60_000]) {
        const body = Buffer.alloc(size, "others ");
        expect((await soon(session.ask("PUT", "/bucket/other", {}, body))).status).toBe(200);
        expect((await soon(session.ask("GET", "/bucket/other"))).body.equals(body)).toBe(true);
      }
    } finally {
      clearInterval(drip);
    }
    for (const upload of uploads) upload.close();
    expect((await session.footprint()).keys).toHaveLength(1);
    expect(await freeBlocks(session)).toBe(arena.block);
  });

  it("while headers come slowly, one by one, on many connections", async () => {
    const session = await open({ limits: { requestsMax: 8 } });
    for (let count = 0; count < 200; count++) {
      const slow = await connect(session);
      slow.send(`GET /bucket/object HTTP/1.1\r\nHost: a\r\nX-Slow-${count}: `);
    }
    expect(await othersAreServed(session)).toBe(true);
  });

  it("while another address has as many requests under way as it may", async () => {
    const session = await open({ limits: { requestsMax: 8 } });
    const answers: Promise<RawAnswer>[] = [];
    for (let count = 0; count < 20; count++) {
      const greedy = await connect(session, "127.0.0.9");
      greedy.send(headOfPut(session, "/bucket/never", 1_000));
      answers.push(greedy.answer());
    }
    for (const answer of answers) void answer.catch(() => undefined);
    expect(await othersAreServed(session)).toBe(true);
  });
});

describe("the limit", () => {
  it("on requests under way: 503 SlowDown with Retry-After, and the connection goes on", async () => {
    const session = await open({ limits: { requestsMax: 2 } });
    const [one, other, third] = [await connect(session), await connect(session), await connect(session)];
    for (const slow of [one, other]) slow.send(headOfPut(session, "/bucket/slow", 5));
    await eventually(async () => {
      third.send(wireBytes(session.sign("GET", "/")));
      const answer = await third.answer();
      if (answer.status === 200) return false;
      expect(problemOf(answer)).toBeUndefined();
      expect([answer.status, answer.code, answer.headers.get("retry-after")]).toEqual([503, "SlowDown", "1"]);
      return true;
    });
    for (const slow of [one, other]) slow.send("bytes");
    expect([(await one.answer()).status, (await other.answer()).status]).toEqual([200, 200]);
    third.send(wireBytes(session.sign("GET", "/bucket/slow")));
    expect((await third.answer()).body.toString()).toBe("bytes");
  });

  it("on the time that headers take: 400 RequestTimeout, or 408, and the end", async () => {
    const session = await open({ limits: { headerTimeoutMs: 400 } });
    const slow = await connect(session);
    slow.send("GET /bucket HTTP/1.1\r\nHost: a\r\nX-");
    const answer = await slow.answer();
    expect(problemOf(answer)).toBeUndefined();
    expect([answer.status, answer.code]).toEqual([408, "RequestTimeout"]);
    await slow.tcp.rest();
  });

  it.each([
    ["small", 1_000],
    ["large", 64 * megabyte],
  ])("on the time for which nothing comes of a body: an error, the end, nothing stored: %s", async (_, size) => {
    const session = await open({ limits: { bodyIdleTimeoutMs: 100 } });
    const before = await session.footprint();
    const slow = await connect(session);
    slow.send(headOfPut(session, "/bucket/slow", size));
    slow.send("some of it");
    const answer = await slow.answer();
    expect(problemOf(answer)).toBeUndefined();
    expect(answer.status).toBe(400);
    await slow.tcp.rest();
    slow.close();
    expect(await session.footprint()).toEqual(before);
  });

  it("on the time for which an answer is not read: the end, every buffer free", async () => {
    const session = await open({ limits: { writeStallMs: 200 }, arena });
    await session.ask("PUT", "/bucket/large", {}, Buffer.alloc(24 * megabyte, "large "));
    const reader = await connect(session);
    reader.tcp.socket.pause();
    reader.send(wireBytes(session.sign("GET", "/bucket/large")));
    await eventually(() => session.running.gateway!.listener.connectionCount === 1);
    await eventually(() => session.running.gateway!.listener.connectionCount === 0);
    await eventually(async () => (await freeBlocks(session)) === arena.block);
    expect(await session.works()).toBe(true);
  });

  it("on the size of headers: 431, in XML", async () => {
    const session = await open({ limits: { headerSizeMax: 8_192 } });
    const answer = await session.ask("GET", "/bucket", { "x-amz-meta-a": "a".repeat(9_000) });
    expect(problemOf(answer)).toBeUndefined();
    expect([answer.status, answer.code]).toEqual([431, "RequestHeaderSectionTooLarge"]);
  });
});
