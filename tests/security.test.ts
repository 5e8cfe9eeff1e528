/**
 * Who may speak on which port, and what somebody without key and signature gets there: the first half of docs/security.md.
 * What it says of each port has its test here, or where the page says.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fingerprintOf } from "../src/core/key.ts";
import { Kernel } from "../src/core/kernel.ts";
import type { Operation } from "../src/gateways/s3/operation.ts";
import { operations } from "../src/gateways/s3/operations.ts";
import { answerSize, encodeRequest, noSession } from "../src/wire/message.ts";
import { formBody } from "./support/s3-signer.ts";
import { S3Endpoint } from "./support/s3-endpoint.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import { Belongings, clientKernel, framesOf, getObject, otherKey, patternOf, testKey } from "./support/store.ts";

const belongings = new Belongings();
let strangers: Kernel;
beforeAll(() => {
  strangers = new Kernel(otherKey, { tiny: 4, block: 4, group: 1 });
});
afterAll(() => belongings.giveBack());

/** What comes back for these bytes until the other side ends. */
async function answerTo(port: number, ...pieces: readonly Uint8Array[]): Promise<Buffer> {
  const socket = await TestSocket.connect(port);
  try {
    for (const piece of pieces) await socket.write(piece).catch(() => undefined);
    return await socket.rest();
  } finally {
    socket.destroy();
  }
}

const hello = (kernel: Kernel): Uint8Array =>
  encodeRequest(kernel, noSession, { operation: "hello", a: 1, number: 1 }, new Uint8Array(8));

describe("5000", () => {
  it("without the key nothing is written, read, freed or told but the key's fingerprint", async () => {
    const root = await belongings.directory();
    const server = await belongings.server({ root, depth: 2 });
    const socket = await TestSocket.connect(server.port);
    await socket.write(framesOf(0, patternOf(5000, 1), strangers));
    expect(await socket.statuses(4)).toEqual([2, 2, 2, 2]);
    socket.destroy();
    const told = await answerTo(server.port, hello(strangers));
    expect(told.subarray(answerSize).toString()).toMatch(/^\{"code":"WRONG_KEY","message":"[^"]*"\}$/);
    expect(told.toString("latin1")).toContain(fingerprintOf(testKey));
    for (const operation of ["read", "reclaim", "space"]) {
      const request = encodeRequest(
        strangers,
        noSession,
        { operation, a: 0, b: 1, c: 1, number: 2 },
        new Uint8Array(0),
      );
      const answer = await answerTo(server.port, hello(clientKernel()), request);
      expect(answer.toString("latin1")).toMatch(/"role":"server"[^]*WRONG_KEY/);
      expect(answer.toString("latin1")).not.toContain("freeSpace");
    }
    expect((await readdir(root)).toSorted()).toEqual(["data-putter.json", "lock"]);
  });
});

describe("5001", () => {
  it("whoever reaches it stores an object and hears its id, and gets nothing else", async () => {
    const running = await belongings.router({ s3: { port: 0 } });
    const request = Buffer.from("GET /?list HTTP/1.1\r\nHost: 127.0.0.1:5001\r\n\r\n");
    const id = objectOf(await sendStream(running.streamPort, request));
    const client = await belongings.requests(running.responsePort);
    expect(Buffer.from(await getObject(client, id))).toEqual(request);
    // Also with the key nothing is read here.
    expect(await sendStream(running.streamPort, hello(clientKernel()))).toMatch(/^ERROR this port takes byte streams/);
    expect(await running.gateway!.services.datastore.counters()).toMatchObject({ objects: 1, buckets: 0 });
  });
});

describe("5002", () => {
  const all = ["get", "stat", "list", "remove", "verify", "status"];
  const ofAccounts = ["useradd", "userlist", "userrm", "sseadd", "sserot", "sselist"];

  it("without the key no operation is answered, not even behind a greeting that was recorded", async () => {
    const running = await belongings.router();
    const id = objectOf(await sendStream(running.streamPort, patternOf(5000, 2)));
    expect((await answerTo(running.responsePort, hello(strangers))).toString()).toContain("WRONG_KEY");
    for (const operation of [...all, ...ofAccounts]) {
      const body = new Uint8Array(Buffer.from('{"name":"mallory"}'));
      const request = encodeRequest(strangers, noSession, { operation, a: 0, b: 1, number: 2 }, body);
      const answer = (await answerTo(running.responsePort, hello(clientKernel()), request)).toString("latin1");
      expect(answer).toMatch(/"role":"router"[^]*WRONG_KEY/);
      expect(answer.match(/\{"/g)).toHaveLength(2);
    }
    const client = await belongings.requests(running.responsePort);
    expect(await getObject(client, id)).toHaveLength(5000);
    expect(await client.askJson("userlist")).toMatchObject({ users: [{ user: "root" }] });
    expect(await client.askJson("sselist")).toEqual({ keys: [] });
  });

  it("who has the key reads, lists and removes every object, and makes users", async () => {
    const running = await belongings.router();
    const id = objectOf(await sendStream(running.streamPort, patternOf(100, 3)));
    const client = await belongings.requests(running.responsePort);
    expect(await getObject(client, id)).toHaveLength(100);
    const name = new Uint8Array(Buffer.from('{"name":"mallory"}'));
    expect(await client.askJson("useradd", {}, name)).toMatchObject({ user: "mallory" });
    expect(await client.askJson("remove", { a: 0 })).toEqual({ removed: true });
  });
});

describe("9000", () => {
  let s3: S3Endpoint;
  let before: unknown;
  const state = async (): Promise<unknown> => {
    const { text } = await s3.ask("GET", "/private?versions");
    return [text, (await s3.ask("GET", "/")).text, (await s3.ask("GET", "/private/object")).text];
  };
  beforeAll(async () => {
    s3 = await S3Endpoint.open(belongings);
    await s3.bucket("private");
    await s3.ask("PUT", "/private/object", { "x-amz-meta-planted": "planted-metadata" }, "planted-bytes");
    before = await state();
  });

  it("without a signature every operation is refused, and changes nothing", async () => {
    expect(operations.length).toBeGreaterThan(80);
    for (const operation of operations)
      expect([operation.name, await refused(operation, null)]).toEqual([operation.name, true]);
    expect(await state()).toEqual(before);
  });

  it("with a secret that is not the access key's every operation is refused, and changes nothing", async () => {
    const keys = { accessKey: s3.keys.accessKey, secretKey: "another-secret" };
    for (const operation of operations)
      expect([operation.name, await refused(operation, keys)]).toEqual([operation.name, true]);
    expect(await state()).toEqual(before);
  });

  it("/-/health, /-/ready and /-/metrics tell everybody how much there is, and no name, key, address or fingerprint", async () => {
    const told = await Promise.all(
      ["health", "ready", "metrics"].map((name) => s3.ask("GET", `/-/${name}`, {}, undefined, null)),
    );
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200]);
    const text = told.map((answer) => answer.text + JSON.stringify([...answer.headers])).join("\n");
    expect(text).toMatch(/^data_putter_objects 1$/m);
    for (const name of [
      "private",
      "planted",
      s3.keys.accessKey,
      s3.keys.secretKey,
      "127.0.0.1",
      fingerprintOf(testKey),
    ]) {
      expect(text).not.toContain(name);
    }
  });

  async function refused(operation: Operation, keys: S3Endpoint["keys"] | null): Promise<boolean> {
    const { name, method } = operation;
    const body = bodyOf(operation);
    const headers = headersOf(operation, body);
    const { status, text } = await s3.ask(method, pathOf(operation), headers, body, keys);
    if (text.includes("planted")) return false;
    if (method === "HEAD") return status === 403;
    // Each of its objects is answered by itself, where the request is somebody's or nobody's.
    if (name === "DeleteObjects" && keys === null)
      return /<Error>[^]*<Code>AccessDenied</.test(text) && !text.includes("<Deleted>");
    const code = /<Code>(\w+)</.exec(text)?.[1] ?? text;
    // A browser that asks what CORS allows signs nothing, ever.
    const expected =
      method === "OPTIONS" ? "AccessForbidden" : keys === null ? "AccessDenied" : "SignatureDoesNotMatch";
    return status === 403 && code === expected;
  }
});

function pathOf({ scope, when, parameters = [] }: Operation): string {
  const place = { service: "/", bucket: "/private", object: "/private/object" }[scope];
  const name = typeof when === "object" ? `${when.parameter}=${when.value}` : when;
  const extra = parameters.filter((parameter) => /^(uploadId|partNumber)$/.test(parameter)).map((each) => `${each}=1`);
  const query = [...(name === undefined ? [] : [name]), ...extra].join("&");
  return query === "" ? place : `${place}?${query}`;
}

function headersOf({ name, header, method }: Operation, body: string | undefined): { readonly [name: string]: string } {
  if (method === "OPTIONS") return { origin: "http://elsewhere", "access-control-request-method": "GET" };
  return {
    ...(header === undefined ? {} : { [header]: "/private/object" }),
    ...(name === "PostObject" ? formBody({ key: "new" }, { content: "new" }).headers : {}),
    ...(body === undefined ? {} : { "content-md5": createHash("md5").update(body).digest("base64") }),
  };
}

function bodyOf({ name, method }: Operation): string | undefined {
  if (method !== "PUT" && method !== "POST") return undefined;
  if (name === "DeleteObjects") return "<Delete><Object><Key>object</Key></Object></Delete>";
  if (name === "PutObjectTagging") return "<Tagging><TagSet/></Tagging>";
  return name === "PostObject" ? Buffer.from(formBody({ key: "new" }, { content: "new" }).body).toString() : "<A/>";
}
