/** A damaged data directory as who runs it meets it: what start-up says, and what `verify` names. Real processes. */
import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ticketDataSize } from "../../src/core/frame.ts";
import { CommandLine } from "../support/cli.ts";
import { type Service, someBytes } from "../support/program.ts";
import { signHeader } from "../support/s3-signer.ts";
import { eventually } from "../support/store.ts";

const t = ticketDataSize;
const keys = { accessKey: "tester", secretKey: "testers-secret" };
let line: CommandLine;
let s3Port: number;
beforeAll(async () => {
  line = await CommandLine.make();
});
afterAll(() => line.place.remove());

interface Running {
  readonly service: Service;
  /** For clients of it. */
  readonly client: { readonly env: Record<string, string> };
}

async function start(): Promise<Running> {
  const args = ["router", "--root", "root", "--json", "--port", "0", "--response-port", "0"];
  const env = { DATA_PUTTER_ACCESS_KEY: keys.accessKey, DATA_PUTTER_SECRET_KEY: keys.secretKey };
  const service = await line.place.start("data-putter", args, { cwd: line.folder, env, ready: /\n/ });
  const said = JSON.parse(service.stdout()) as { streamPort: number; responsePort: number; s3Port: number };
  s3Port = said.s3Port;
  return {
    service,
    client: {
      env: {
        DATA_PUTTER_PORT: String(said.streamPort),
        DATA_PUTTER_RESPONSE_PORT: String(said.responsePort),
        DATA_PUTTER_KEY_FILE: line.path("root/key"),
      },
    },
  };
}

async function ask(method: string, target: string, body?: Uint8Array | string): Promise<Response> {
  const url = `http://127.0.0.1:${s3Port}${target}`;
  const signed = signHeader(keys, { method, url, headers: {}, ...(body === undefined ? {} : { body }) });
  const { host: _, ...headers } = signed.headers;
  return fetch(url, {
    method,
    headers,
    ...(signed.body === undefined ? {} : { body: signed.body }),
  });
}

async function ok(asked: Promise<Response>): Promise<string> {
  const answer = await asked;
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
  return text;
}

/** Tickets are handed out one after the other here: where the bytes of one that was stored begin. */
async function place(bytes: Uint8Array): Promise<number> {
  const at = (await readFile(line.path("root/obj"))).indexOf(bytes.subarray(0, 1000));
  if (at < 0 || at % t !== 0) throw new Error("these bytes are not where they should be");
  return at;
}

async function flip(file: string, at: number): Promise<void> {
  const handle = await open(line.path(`root/${file}`), "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0]! ^= 1;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

const [alone, first, second] = [someBytes(20_000, 1), someBytes(30_000, 2), someBytes(40_000, 3)];
const parts = [someBytes(5_242_880, 4), someBytes(50_000, 5)] as const;
const loose = someBytes(60_000, 6);
let id: string;
let upload: string;

describe("verify over a store that S3 has written", () => {
  beforeAll(async () => {
    const router = await start();
    await ok(ask("PUT", "/bucket"));
    const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    await ok(ask("PUT", "/bucket?versioning=", enabled));
    for (const bytes of [first, second]) await ok(ask("PUT", "/bucket/a%20key", bytes));
    const begin = async (key: string): Promise<string> =>
      /<UploadId>(.*?)</.exec(await ok(ask("POST", `/bucket/${key}?uploads=`)))![1]!;
    const whole = await begin("parts");
    const etags: string[] = [];
    for (const [index, part] of parts.entries()) {
      const answer = await ask("PUT", `/bucket/parts?partNumber=${index + 1}&uploadId=${whole}`, part);
      etags.push(answer.headers.get("etag")!);
    }
    const list = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
    await ok(ask("POST", `/bucket/parts?uploadId=${whole}`, body));
    upload = await begin("open");
    await ok(ask("PUT", `/bucket/open?partNumber=7&uploadId=${upload}`, loose));
    await writeFile(line.path("alone"), alone);
    id = (await line.run(["put", "alone", "--json"], router.client)).stdout;
    id = (JSON.parse(id) as { object: string }).object;
    await router.service.stop();
  });

  test("finds nothing while nothing is damaged, and ends with 0", async () => {
    const router = await start();
    const { code, stdout, stderr } = await line.run(["verify"], router.client);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(/nothing is damaged/);
    expect(router.service.stderr()).not.toMatch(/"level":"error"/);
    await router.service.stop();
  });

  test("names object, offset, and bucket, key and version or upload, counts right, and ends with 1", async () => {
    const [old, tail, open] = [await place(first), await place(parts[1]), await place(loose)];
    await flip("obj", old + 3 * t + 7);
    await flip("obj", old + 9 * t);
    await flip("sum", (tail / t + 2) * 8 + 1);
    await flip("obj", open);
    const router = await start();
    const { code, stdout } = await line.run(["verify"], router.client);
    const versions = await ok(ask("GET", "/bucket?versions="));
    const ids = [...versions.matchAll(/<Key>(.*?)<\/Key><VersionId>(\d+)</g)];
    const older = ids.filter(([, key]) => key === "a key").at(-1)![2]!;
    const composed = ids.find(([, key]) => key === "parts")![2]!;
    const lines = stdout.trim().split("\n");
    const damages = lines.filter((each) => / offset /.test(each));
    expect(damages).toHaveLength(4);
    const objectAt = (offset: number): string => {
      const found = damages.find((each) => each.includes(`  offset ${offset}  `));
      return /^object (\w+) .*corrupt  volume \(root\) of /.exec(found ?? "")![1]!;
    };
    const names = lines.filter((each) => !damages.includes(each)).sort();
    expect(objectAt(9 * t)).toBe(objectAt(3 * t));
    expect(names).toEqual(
      [
        `object ${objectAt(3 * t)}  is at byte 0 of version ${older} of "bucket/a key"`,
        `object ${objectAt(2 * t)}  is at byte 5242880 of version ${composed} of "bucket/parts"`,
        `object ${objectAt(0)}  is at byte 0 of part 7 of upload ${upload} of "bucket/open"`,
      ].sort(),
    );
    const json = (await line.run(["verify", "--json"], router.client)).stdout.trim().split("\n");
    expect(JSON.parse(json.at(-1)!)).toMatchObject({ damages: 4 });
    expect(JSON.parse(json[0]!)).toMatchObject({ kind: "corrupt", volume: "(root)" });
    expect(json.map((each) => JSON.parse(each) as object)).toContainEqual({
      object: objectAt(3 * t),
      bucket: "bucket",
      key: "a key",
      version: older,
      offset: 0,
    });
    expect(code).toBe(1);
    expect((await line.run(["verify", id], router.client)).code).toBe(0);
    expect((await line.run(["verify", objectAt(0)], router.client)).code).toBe(1);
    expect((await ask("GET", `/bucket/a%20key?versionId=${older}`)).status).toBe(500);
    const newest = Buffer.from(await (await ask("GET", "/bucket/a%20key")).arrayBuffer());
    expect(newest.equals(second)).toBe(true);
    await router.service.stop();
    await flip("obj", old + 3 * t + 7);
    await flip("obj", old + 9 * t);
    await flip("sum", (tail / t + 2) * 8 + 1);
    await flip("obj", open);
  });
});

describe("start-up", () => {
  /** What the log says of what was looked at. */
  async function saidAfter(): Promise<{ [name: string]: unknown }> {
    const router = await start();
    await eventually(() => /"level":"error"/.test(router.service.stderr()));
    const said = router.service
      .stderr()
      .split("\n")
      .find((each) => each.includes('"level":"error"'))!;
    await router.service.stop();
    return JSON.parse(said) as { [name: string]: unknown };
  }

  async function refusal(): Promise<string> {
    const ports = ["--port", "0", "--response-port", "0"];
    const { code, stderr } = await line.run(["router", "--root", "root", ...ports], { timeoutMs: 20_000 });
    expect(code === 1 || code === 2).toBe(true);
    return stderr;
  }

  /** With another content of a small file, or none. */
  async function withFile(
    name: string,
    content: string | undefined,
    work: (was: string) => Promise<void>,
  ): Promise<void> {
    const file = line.path(`root/${name}`);
    const was = await readFile(file, "utf8");
    await rename(file, `${file}.kept`);
    try {
      if (content !== undefined) await writeFile(file, content, { mode: 0o600 });
      await work(was);
    } finally {
      await rm(file, { force: true });
      await rename(`${file}.kept`, file);
    }
  }

  const notOpened: readonly (readonly [string, string, (was: string) => string | undefined, RegExp])[] = [
    ["data-putter.json", "flipped in its depth", (was) => was.replace('"depth":2', '"depth":3'), /check does not fit/],
    ["data-putter.json", "cut", (was) => was.slice(0, 30), /it must be JSON/],
    ["data-putter.json", "zeros", (was) => "\0".repeat(was.length), /it must be JSON/],
    ["data-putter.json", "gone", () => undefined, /holds obj but no data-putter\.json, so its depth is unknown/],
    ["key", "zeros", (was) => "\0".repeat(was.length), /key: a key is 32 hex digits/],
    ["key", "cut", (was) => was.slice(0, 20), /key: a key is 32 hex digits/],
    ["key", "gone", () => undefined, /holds data, but its key .* is not there/],
  ];
  test.each(notOpened)("is refused with %s %s: file, rule and runbook", async (name, _, change, rule) => {
    const content = change(await readFile(line.path(`root/${name}`), "utf8"));
    await withFile(name, content, async () => {
      const said = await refusal();
      expect(said).toMatch(rule);
      expect(said).toContain(line.path(`root/${name}`).replace(/\/data-putter\.json$/, ""));
      expect(said).toContain(`docs/runbooks/${name === "key" ? "key-lost" : "small-files"}.md`);
    });
  });

  test("with a key that was another one's says so, and with an old marker's depth or id changed, too", async () => {
    await withFile("key", "000102030405060708090a0b0c0d0e0f\n", async () => {
      const said = await saidAfter();
      expect(said).toMatchObject({ right: 0, advice: expect.stringContaining("key-lost.md") });
    });
    for (const marker of ['{"format":1,"depth":4,"id":"ID"}', '{"format":1,"depth":2,"id":"0123456789abcdef"}']) {
      const { id: own } = JSON.parse(await readFile(line.path("root/data-putter.json"), "utf8")) as { id: string };
      await withFile("data-putter.json", marker.replace("ID", own), async () => {
        const said = await saidAfter();
        expect(said).toMatchObject({ right: 0, advice: expect.stringContaining("small-files.md") });
        expect(said["msg"]).toBe("nothing that was looked at after the start can be read");
      });
    }
  });

  test.each(["obj", "sum"])("without a volume's %s works, says so, and verify names all that is gone", async (name) => {
    await withFile(name, undefined, async () => {
      expect(await saidAfter()).toMatchObject({
        right: 0,
        example: expect.stringMatching(/object \w+ at byte 0, in vol/),
      });
      const router = await start();
      const { code, stdout } = await line.run(["verify"], router.client);
      expect(code).toBe(1);
      expect(stdout).toContain('of "bucket/parts"');
      expect((await ask("GET", "/bucket/parts")).status).toBe(500);
      await ok(ask("PUT", "/bucket/new", "what is stored from now on"));
      expect(await ok(ask("GET", "/bucket/new"))).toBe("what is stored from now on");
      await ok(ask("DELETE", "/bucket/new"));
      await router.service.stop();
    });
  });
});
