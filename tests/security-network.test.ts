/**
 * What somebody between two of them sees, and can do by changing and by sending again: docs/security.md, "on the network".
 */
import { execFileSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import https from "node:https";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningServer } from "../src/compose/server-process.ts";
import { TicketStatus } from "../src/core/frame.ts";
import { Recorder } from "./support/recorder.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { S3Endpoint } from "./support/s3-endpoint.ts";
import { S3Socket } from "./support/s3-session.ts";
import { signHeader, wireBytes } from "./support/s3-signer.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import { Belongings, eventually, framesOf, getObject, patternOf, storedTickets } from "./support/store.ts";

const belongings = new Belongings();
const withRedis = hasRedisServer();
afterAll(() => belongings.giveBack());

async function recorder(port: number): Promise<Recorder> {
  const made = await Recorder.before(port);
  belongings.add(() => made.close());
  return made;
}

describe("between a client and 9000, over plain HTTP", () => {
  let s3: S3Endpoint;
  let wire: Recorder;
  beforeAll(async () => {
    s3 = await S3Endpoint.open(belongings);
    await s3.bucket("planted-bucket");
    wire = await recorder(s3.running.s3Port);
  });

  const request = (method: string, target: string, body?: string, headers = {}): ReturnType<typeof signHeader> =>
    signHeader(s3.keys, {
      method,
      url: `http://127.0.0.1:${wire.port}${target}`,
      headers,
      now: s3.now,
      ...(body === undefined ? {} : { body }),
    });

  async function send(bytes: Uint8Array | string): Promise<{ status: number; code: string | undefined; body: Buffer }> {
    const socket = await S3Socket.connect(wire.port);
    socket.send(bytes);
    const answer = await socket.answer();
    socket.close();
    return answer;
  }

  it("who listens has bytes and names, and no secret", async () => {
    await send(wireBytes(request("PUT", "/planted-bucket/planted-key", "planted-bytes")));
    await send(wireBytes(request("GET", "/planted-bucket/planted-key")));
    for (const name of ["planted-bytes", "planted-key", s3.keys.accessKey])
      expect(wire.seen().includes(name)).toBe(true);
    expect(wire.seen("down").includes("planted-bytes")).toBe(true);
    expect(wire.seen().includes(s3.keys.secretKey)).toBe(false);
  });

  it("a recorded request is carried out again as long as its time is right: 15 minutes, and then never", async () => {
    const write = wireBytes(request("PUT", "/planted-bucket/again", "the first"));
    const read = wireBytes(request("GET", "/planted-bucket/again"));
    const remove = wireBytes(request("DELETE", "/planted-bucket/again"));
    expect((await send(write)).status).toBe(200);
    await s3.ask("PUT", "/planted-bucket/again", {}, "the second");
    expect((await send(read)).body.toString()).toBe("the second");
    expect((await send(remove)).status).toBe(204);
    expect((await send(write)).status).toBe(200);
    expect((await send(read)).body.toString()).toBe("the first");
    s3.pass(15 * 60_000 + 1000);
    await s3.ask("PUT", "/planted-bucket/again", {}, "the third");
    for (const recorded of [write, read, remove]) {
      expect(await send(recorded)).toMatchObject({ status: 403, code: "RequestTimeTooSkewed" });
    }
    expect((await s3.ask("GET", "/planted-bucket/again")).text).toBe("the third");
  });

  it("a request that is changed on the way is refused: method, name, query, signed header or body", async () => {
    await s3.ask("PUT", "/planted-bucket/kept", {}, "as it was");
    const signed = request("PUT", "/planted-bucket/other", "some bytes", { "x-amz-meta-note": "mine" });
    const { host: _, ...headers } = signed.headers;
    const whole = Buffer.from(wireBytes({ ...signed, headers })).toString("latin1");
    const changes: readonly (readonly [string, string])[] = [
      ["/planted-bucket/other", "/planted-bucket/kept"],
      ["PUT ", "DELETE "],
      ["/other HTTP", "/other?acl HTTP"],
      ["x-amz-meta-note: mine", "x-amz-meta-note: ours"],
      ["x-amz-meta-note: mine", "x-amz-meta-note: mine\r\nx-amz-acl: public-read"],
      ["x-amz-meta-note: mine\r\n", ""],
      ["some bytes", "evil bytes"],
    ];
    for (const [from, to] of changes) {
      expect(whole).toContain(from);
      const { status, code } = await send(Buffer.from(whole.replace(from, to), "latin1"));
      expect([to, status >= 400, code]).toEqual([
        to,
        true,
        expect.stringMatching(/Signature|AccessDenied|SHA256Mismatch/),
      ]);
    }
    expect((await s3.ask("GET", "/planted-bucket/other")).status).toBe(404);
    expect((await s3.ask("GET", "/planted-bucket/kept")).text).toBe("as it was");
  });

  it("a body that its client did not sign can be changed: UNSIGNED-PAYLOAD, or a signature of version 2", async () => {
    const { accessKey, secretKey } = s3.keys;
    const target = "/planted-bucket/unsigned";
    const url = `http://127.0.0.1:${wire.port}${target}`;
    const unsigned = signHeader(s3.keys, { method: "PUT", url, body: "some bytes", payload: "unsigned", now: s3.now });
    const date = new Date(s3.now).toUTCString();
    const old = createHmac("sha1", secretKey).update(`PUT\n\n\n${date}\n${target}`).digest("base64");
    const headers = { date, authorization: `AWS ${accessKey}:${old}` };
    for (const signed of [unsigned, { ...unsigned, headers }]) {
      const whole = Buffer.from(wireBytes(signed)).toString("latin1").replace("some bytes", "evil bytes");
      expect((await send(Buffer.from(whole, "latin1"))).status).toBe(200);
      expect((await s3.ask("GET", target)).text).toBe("evil bytes");
      await s3.ask("DELETE", target);
    }
  });

  it("an answer that is changed on the way is believed: only TLS protects those", async () => {
    await s3.ask("PUT", "/planted-bucket/answer", {}, "what is stored");
    wire.change = (bytes, way) =>
      way === "down"
        ? Buffer.from(bytes.toString("latin1").replace("what is stored", "something else"), "latin1")
        : bytes;
    expect((await send(wireBytes(request("GET", "/planted-bucket/answer")))).body.toString()).toBe("something else");
    wire.change = (bytes) => bytes;
  });
});

describe("between a client and 9000, over TLS", () => {
  it("who listens has neither bytes nor names", async () => {
    const directory = await belongings.directory();
    const tls = { cert: path.join(directory, "cert.pem"), key: path.join(directory, "key.pem") };
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"];
    execFileSync("openssl", ["req", "-x509", ...curve, "-days", "2", "-out", tls.cert, "-keyout", tls.key], {
      stdio: "ignore",
    });
    const s3 = await S3Endpoint.open(belongings, { s3: { port: 0, tls } });
    const wire = await recorder(s3.running.s3Port);
    const ask = (method: string, target: string, body?: string): Promise<string> => {
      const url = `https://127.0.0.1:${wire.port}${target}`;
      const signed = signHeader(s3.keys, { method, url, ...(body === undefined ? {} : { body }) });
      return new Promise((resolve, reject) => {
        const sent = https.request(url, { method, headers: signed.headers, rejectUnauthorized: false, agent: false });
        sent.on("error", reject);
        sent.on("response", (answer) => {
          let text = "";
          answer.on("data", (bytes: Buffer) => (text += bytes.toString()));
          answer.on("end", () => resolve(text));
        });
        sent.end(signed.body);
      });
    };
    await ask("PUT", "/planted-bucket");
    await ask("PUT", "/planted-bucket/planted-key", "planted-bytes");
    expect(await ask("GET", "/planted-bucket/planted-key")).toBe("planted-bytes");
    expect(wire.seen().length).toBeGreaterThan(1000);
    for (const name of ["planted", s3.keys.accessKey]) expect(wire.seen().includes(name)).toBe(false);
  });
});

describe("between a client and 5001", () => {
  it("what is changed on the way is stored as it came: nothing proves who sent what", async () => {
    const running = await belongings.router();
    const wire = await recorder(running.streamPort);
    wire.change = (bytes) => Buffer.from(bytes.toString("latin1").replace("mine", "ours"), "latin1");
    const id = objectOf(await sendStream(wire.port, Buffer.from("this is mine")));
    const client = await belongings.requests(running.responsePort);
    expect(Buffer.from(await getObject(client, id)).toString()).toBe("this is ours");
  });
});

describe("between router and server, without TLS", () => {
  let server: RunningServer;
  let wire: Recorder;
  const planted = randomBytes(3000);
  const piece = planted.subarray(1500, 1600);
  let sent = (): Promise<string> => Promise.reject(new Error("not open yet"));
  let read: (id: string) => Promise<Uint8Array>;

  beforeAll(async () => {
    server = await belongings.server({ depth: 2 });
    wire = await recorder(server.port);
    const running = await belongings.router({ putters: [{ host: "127.0.0.1", port: wire.port }] });
    await eventually(() => running.router.stores.length === 1);
    const client = await belongings.requests(running.responsePort);
    sent = () => sendStream(running.streamPort, planted);
    read = (id) => getObject(client, id);
  });

  /** One bit of what was planted, whenever it passes. */
  const flip = (bytes: Buffer): Buffer => {
    const at = bytes.indexOf(piece);
    if (at >= 0) bytes[at] = bytes[at]! ^ 1;
    return bytes;
  };

  it("who listens has the bytes of objects, and no name", async () => {
    const id = objectOf(await sent());
    expect(wire.seen("up").includes(piece)).toBe(true);
    expect(Buffer.from(await read(id))).toEqual(planted);
    expect(wire.seen("down").includes(piece)).toBe(true);
  });

  it("what is changed on the way is not stored, and not handed out", async () => {
    const id = objectOf(await sent());
    wire.change = flip;
    expect(await sent()).toMatch(/^ERROR .*checksum/);
    await expect(read(id)).rejects.toThrow(/damaged|verif|corrupt|checksum/i);
    wire.change = (bytes) => bytes;
    expect(Buffer.from(await read(id))).toEqual(planted);
  });

  it("what was recorded, sent again, is stored already or refused", async () => {
    objectOf(await sent());
    await eventually(() => wire.sent().length > 1);
    const before = server.store.counts.ticketsWritten;
    for (const recorded of wire.sent()) {
      const socket = await TestSocket.connect(server.port);
      await socket.write(recorded).catch(() => undefined);
      socket.end();
      const answer = await socket.rest();
      socket.destroy();
      if (recorded.subarray(0, 5).toString() === "hello")
        expect(answer.toString("latin1")).toMatch(/"role"[^]*WRONG_KEY/);
      // Tickets that are there already, byte for byte: written over with themselves.
      else for (let at = 8; at < answer.length; at += 9) expect(answer[at]).toBe(TicketStatus.saved);
    }
    expect(server.store.counts.ticketsWritten).toBeGreaterThan(before);
  });

  it("a ticket that was recorded and freed since takes its space again, and belongs to nothing", async () => {
    const other = await belongings.server({ depth: 2 });
    const frames = framesOf(1_000_000, patternOf(1458 * 3, 1));
    const write = async (): Promise<number[]> => {
      const socket = await TestSocket.connect(other.port);
      await socket.write(frames);
      const statuses = await socket.statuses(3);
      socket.destroy();
      return statuses;
    };
    expect(await write()).toEqual([0, 0, 0]);
    const client = await belongings.requests(other.port);
    await client.askJson("reclaim", { a: 0, b: 2_000_000, c: 1_000_000_000 });
    expect(await storedTickets(other.store, 1_000_000, 3)).toEqual([undefined, undefined, undefined]);
    expect(await write()).toEqual([0, 0, 0]);
    expect(await storedTickets(other.store, 1_000_000, 3)).not.toContain(undefined);
  });
});

describe("between router and Redis", () => {
  it.skipIf(!withRedis)("who listens has names and metadata, and neither secrets nor bytes of objects", async () => {
    const redis = await RedisServer.start();
    belongings.add(() => redis.stop());
    const wire = await recorder(redis.port);
    const s3 = await S3Endpoint.open(belongings, {
      datastore: { kind: "redis", url: `redis://127.0.0.1:${wire.port}` },
    });
    await s3.bucket("planted-bucket");
    await s3.ask("PUT", "/planted-bucket/planted-key", { "x-amz-meta-note": "planted-note" }, "planted-bytes");
    expect((await s3.ask("GET", "/planted-bucket/planted-key")).text).toBe("planted-bytes");
    for (const name of ["planted-key", "planted-note", s3.keys.accessKey])
      expect(wire.seen().includes(name)).toBe(true);
    for (const hidden of ["planted-bytes", s3.keys.secretKey]) expect(wire.seen().includes(hidden)).toBe(false);
  });
});
