/**
 * The program on a machine that fails: a full disk, one that cannot sync, one that has become read-only, no descriptors. What
 * is stored can be read, what cannot be done is told clearly, and all goes on by itself when the machine is well again.
 *
 * Failures of the disk are made by strace, which lets system calls of the running program fail for a while; a real device that
 * fails cannot be had everywhere (no device mapper in containers).
 */
import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { clientOf, CommandLine, type RunningService } from "../support/cli.ts";
import {
  canTroubleTheMachine,
  descriptorsOf,
  FailingCalls,
  limitDescriptors,
  SmallDisk,
  syncCalls,
  writingCalls,
} from "../support/machine.ts";
import { signHeader } from "../support/s3-signer.ts";
import { sendStream } from "../support/sockets.ts";

const keys = { accessKey: "machine-test", secretKey: "secret-of-machine-test" };
const megabyte = 1024 * 1024;

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly body: Buffer;
}

let line: CommandLine;
let running: RunningService;
let s3Port: number;
const closers: (() => Promise<void>)[] = [];

beforeEach(async () => {
  line = await CommandLine.make();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await line.place.remove();
});

async function start(root = "data"): Promise<void> {
  const args = ["router", "--root", root, "--json", "--port", "0", "--response-port", "0", "--s3-port", "0"];
  const env = { DATA_PUTTER_ACCESS_KEY: keys.accessKey, DATA_PUTTER_SECRET_KEY: keys.secretKey };
  const service = await line.place.start("data-putter", args, { cwd: line.folder, env, ready: /\n/ });
  const said = JSON.parse(service.stdout()) as {
    pid: number;
    streamPort: number;
    responsePort: number;
    s3Port: number;
  };
  const { pid, streamPort: port, responsePort } = said;
  running = { service, root: line.path(root), pid, port, responsePort, fingerprint: "" };
  s3Port = said.s3Port;
}

async function ask(method: string, target: string, body?: Uint8Array): Promise<Answer> {
  const url = `http://127.0.0.1:${s3Port}${target}`;
  const signed = signHeader(keys, { method, url, ...(body === undefined ? {} : { body }) });
  const { host: _, ...headers } = signed.headers;
  const signal = AbortSignal.timeout(20_000);
  const sent = body === undefined ? {} : { body: Buffer.from(body) };
  const answer = await fetch(url, { method, headers, signal, ...sent });
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, code: /<Code>(.*?)<\/Code>/.exec(bytes.toString("latin1"))?.[1], body: bytes };
}

const put = (key: string, body: Uint8Array): Promise<Answer> => ask("PUT", `/bucket/${key}`, body);

async function until(what: () => Promise<boolean>, seconds: number): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await what());) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Everything that was acknowledged is there, nothing else is listed, and all of it verifies. */
async function expectStored(stored: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [key, bytes] of stored) {
    const { status, body } = await ask("GET", `/bucket/${key}`);
    expect([key, status, body.equals(bytes)]).toEqual([key, 200, true]);
  }
  const listing = (await ask("GET", "/bucket?list-type=2")).body.toString();
  expect([...listing.matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key]) => key)).toEqual([...stored.keys()].sort());
  const verified = await line.run(["verify"], clientOf(running));
  expect([verified.code, verified.stderr]).toEqual([0, expect.stringContaining("nothing is damaged")]);
}

describe.skipIf(!canTroubleTheMachine())("on a machine that fails", () => {
  test("a full disk: 507, what is stored can be read and deleted, and writing goes on when there is room", async () => {
    const disk = await SmallDisk.mount(line.path("small"), 96);
    closers.push(() => disk.unmount());
    await start("small/data");
    closers.push(() => running.service.kill());
    expect((await ask("PUT", "/bucket")).status).toBe(200);
    const stored = new Map<string, Buffer>();
    let refused: Answer | undefined;
    for (let number = 0; refused === undefined; number++) {
      const bytes = randomBytes(4 * megabyte);
      const answer = await put(`key${number}`, bytes);
      if (answer.status === 200) stored.set(`key${number}`, bytes);
      else refused = answer;
    }
    expect(stored.size).toBeGreaterThan(10);
    expect(refused).toMatchObject({ status: 507, code: "InsufficientStorage" });
    expect(refused.body.toString()).not.toContain(line.folder);
    expect(await put("small", randomBytes(10))).toMatchObject({ status: 507, code: "InsufficientStorage" });
    expect(await sendStream(running.port, randomBytes(5000))).toMatch(/^ERROR .*(free|no space)/);
    await expectStored(stored);

    // Another program takes the last byte, too: what the store keeps in reserve.
    const filler = line.path("small/filler");
    await writeFile(filler, Buffer.alloc(96 * megabyte)).catch(() => undefined);
    expect(await put("small", randomBytes(10))).toMatchObject({ status: 507, code: "InsufficientStorage" });
    await expectStored(stored);
    await rm(filler);

    // As much as stays has to fit into what is free: the volume is written anew (docs/runbooks/disk-full.md).
    for (const key of [...stored.keys()].slice(2)) {
      expect((await ask("DELETE", `/bucket/${key}`)).status).toBe(204);
      stored.delete(key);
    }
    const bytes = randomBytes(3 * megabyte);
    await until(async () => (await put("after", bytes)).status === 200, 60);
    stored.set("after", bytes);
    await expectStored(stored);
  });

  test("a disk that is enlarged while the store runs is used at once", async () => {
    const disk = await SmallDisk.mount(line.path("small"), 40);
    closers.push(() => disk.unmount());
    await start("small/data");
    closers.push(() => running.service.kill());
    expect((await ask("PUT", "/bucket")).status).toBe(200);
    const bytes = randomBytes(48 * megabyte);
    expect(await put("large", bytes)).toMatchObject({ status: 507 });
    await disk.resize(120);
    await until(async () => (await put("large", bytes)).status === 200, 60);
    await expectStored(new Map([["large", bytes]]));
  });

  test("a disk that cannot sync: nothing is acknowledged, what is stored is read, and it goes on without a restart", async () => {
    await start();
    const stored = new Map([["before", randomBytes(2 * megabyte)]]);
    await ask("PUT", "/bucket");
    await put("before", stored.get("before")!);
    const failing = await FailingCalls.begin(running.pid, syncCalls, "EIO");
    closers.push(() => failing.end());
    for (const size of [10, 100_000, 4 * megabyte]) {
      expect(await put(`failed${size}`, randomBytes(size))).toMatchObject({ status: 503, code: "ServiceUnavailable" });
    }
    expect(await sendStream(running.port, randomBytes(5000))).toMatch(/^ERROR /);
    expect((await ask("GET", "/bucket/before")).body.equals(stored.get("before")!)).toBe(true);
    await failing.end();
    for (const size of [10, 100_000, 4 * megabyte]) {
      const bytes = randomBytes(size);
      await until(async () => (await put(`after${size}`, bytes)).status === 200, 60);
      stored.set(`after${size}`, bytes);
    }
    await expectStored(stored);
    // A crash now: what came after the failed syncs is there, what was refused is not.
    await running.service.kill();
    await start();
    await expectStored(stored);
  });

  test("a disk that has become read-only: writing is refused, reading goes on, and all works when it is writable again", async () => {
    await start();
    const stored = new Map([["before", randomBytes(2 * megabyte)]]);
    await ask("PUT", "/bucket");
    await put("before", stored.get("before")!);
    const failing = await FailingCalls.begin(running.pid, writingCalls, "EROFS");
    closers.push(() => failing.end());
    for (const size of [10, 100_000, 4 * megabyte]) {
      expect(await put(`failed${size}`, randomBytes(size))).toMatchObject({ status: 503, code: "ServiceUnavailable" });
    }
    expect(await ask("DELETE", "/bucket/before")).toMatchObject({ status: 503, code: "ServiceUnavailable" });
    expect((await ask("GET", "/bucket/before")).body.equals(stored.get("before")!)).toBe(true);
    await failing.end();
    const bytes = randomBytes(3 * megabyte);
    await until(async () => (await put("after", bytes)).status === 200, 60);
    stored.set("after", bytes);
    await expectStored(stored);
  });

  test("a datastore that cannot be synced: one commit is tried each few seconds, whatever is asked for", async () => {
    await start();
    const stored = new Map([["before", randomBytes(10)]]);
    await ask("PUT", "/bucket");
    await put("before", stored.get("before")!);
    const path = line.path("data/datastore/data.mdb");
    const record = line.path("failed-calls");
    const failing = await FailingCalls.begin(running.pid, syncCalls, "EIO", { path, record });
    closers.push(() => failing.end());
    const begun = Date.now();
    let asked = 0;
    for (; Date.now() < begun + 5_000; asked++) {
      const answer = asked % 2 === 0 ? await put("failed", randomBytes(10)) : await ask("DELETE", "/bucket/before");
      expect(answer).toMatchObject({ status: 503, code: "ServiceUnavailable" });
    }
    expect((await ask("GET", "/bucket/before")).body.equals(stored.get("before")!)).toBe(true);
    await failing.end();
    // After 0, 1 and 3 seconds.
    console.info("a datastore that cannot be synced", { asked, tried: failing.count() });
    expect(asked).toBeGreaterThan(50);
    expect(failing.count()).toBeGreaterThanOrEqual(2);
    expect(failing.count()).toBeLessThanOrEqual(4);
    const bytes = randomBytes(3 * megabyte);
    await until(async () => (await put("after", bytes)).status === 200, 60);
    stored.set("after", bytes);
    await expectStored(stored);
  });

  test("no descriptors left: connections that are there are served, new ones wait or are closed, and it recovers", async () => {
    await start();
    const stored = new Map([["before", randomBytes(2 * megabyte)]]);
    await ask("PUT", "/bucket");
    await put("before", stored.get("before")!);
    const crowd: Socket[] = [];
    closers.push(async () => crowd.forEach((socket) => socket.destroy()));
    await limitDescriptors(running.pid, descriptorsOf(running.pid) + 20);
    for (let number = 0; number < 60; number++) {
      const socket = connect({ host: "127.0.0.1", port: s3Port });
      socket.on("error", () => undefined);
      crowd.push(socket);
      await once(socket, "connect");
    }
    // The connection that fetch keeps open still is: whatever can be said on it is an answer.
    const during = await ask("GET", "/bucket/before").catch((error: Error) => error);
    if (!(during instanceof Error)) expect([200, 503]).toContain(during.status);
    const attempt = await put("during", randomBytes(100_000)).catch((error: Error) => error);
    if (!(attempt instanceof Error) && attempt.status === 200) await ask("DELETE", "/bucket/during");
    for (const socket of crowd.splice(0)) socket.destroy();
    await limitDescriptors(running.pid, 4096);
    const bytes = randomBytes(3 * megabyte);
    await until(async () => (await put("after", bytes).catch(() => undefined))?.status === 200, 60);
    stored.set("after", bytes);
    await ask("DELETE", "/bucket/during");
    await expectStored(stored);
    expect(await running.service.stop()).toBe(0);
  });
});
