/**
 * What others on the same machine can reach, see and read of the running program: docs/security.md, "on the machine". Listening sockets,
 * arguments, environment and what is printed are asked of Linux; elsewhere these tests are skipped.
 */
import { execFileSync } from "node:child_process";
import { readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { options } from "../src/cli/options.ts";
import { clientOf, CommandLine, type RunningService } from "./support/cli.ts";
import { freePort } from "./support/program.ts";
import { Recorder } from "./support/recorder.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { presign, signHeader } from "./support/s3-signer.ts";

const isLinux = process.platform === "linux";
const keyText = "00112233445566778899aabbccddeeff";
const root = { accessKey: "planted-root", secretKey: "planted-root-secret" };
const userSecret = "planted-user-secret";
let line: CommandLine;
let router: RunningService;
let endpoint: string;
let processes: number[];

beforeAll(async () => {
  line = await CommandLine.make();
  const secret = {
    DATA_PUTTER_KEY: keyText,
    DATA_PUTTER_ACCESS_KEY: root.accessKey,
    DATA_PUTTER_SECRET_KEY: root.secretKey,
  };
  const log = ["--log-level", "debug", "--access-log", line.path("access.log")];
  const ports = ["--port", "0", "--response-port", "0"];
  const args = ["router", "--root", "made/store", "--json", "--workers", "2", "--durability", "os", ...ports, ...log];
  const service = await line.place.start("data-putter", args, { cwd: line.folder, env: secret, ready: /\n/ });
  const said = JSON.parse(service.stdout()) as {
    pid: number;
    streamPort: number;
    responsePort: number;
    s3Port: number;
  };
  const place = line.path("made/store");
  router = {
    service,
    root: place,
    pid: said.pid,
    port: said.streamPort,
    responsePort: said.responsePort,
    fingerprint: "",
  };
  endpoint = `http://127.0.0.1:${said.s3Port}`;
  processes = isLinux ? [said.pid, ...(await childrenOf(said.pid))] : [said.pid];
}, 60_000);
afterAll(() => line.place.remove());

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

async function ask(method: string, target: string, body?: string): Promise<Response> {
  const url = `${endpoint}${target}`;
  const { headers, body: sent } = signHeader(root, { method, url, ...(body === undefined ? {} : { body }) });
  return fetch(url, { method, headers, ...(sent === undefined ? {} : { body: sent }) });
}

describe.skipIf(!isLinux)("a router with two workers", () => {
  it("listens on 127.0.0.1 alone, and on its lock: the workers' own channel has no name that anybody could connect to", async () => {
    expect(processes).toHaveLength(3);
    const listening = new Set<string>();
    for (const pid of processes) for (const place of await listeningOf(pid)) listening.add(place);
    const ports = [router.port, router.responsePort, Number(new URL(endpoint).port)];
    const expected = [...ports.map((port) => `127.0.0.1:${port}`), path.join(router.root, "lock")];
    expect([...listening].toSorted()).toEqual(expected.toSorted());
  });

  it("cuts off who connects to its lock, and tells nothing", async () => {
    const { mode } = await stat(path.join(router.root, "lock"));
    expect(mode & 0o022).toBe(0);
    const told = await new Promise<string>((resolve) => {
      const socket = connect(path.join(router.root, "lock"));
      let text = "";
      socket.on("data", (bytes) => (text += bytes.toString()));
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(text));
      socket.write('{"ask":1,"question":"join"}\n');
    });
    expect(told).toBe("");
  });

  it("shows no secret in its arguments, log, access log or output, presigned URLs' signatures included", async () => {
    const env = {
      ...clientOf(router).env,
      DATA_PUTTER_KEY: keyText,
      DATA_PUTTER_KEY_FILE: "",
      DATA_PUTTER_NEW_SECRET_KEY: userSecret,
    };
    expect(await line.run(["user", "add", "alice"], { env })).toMatchObject({ code: 0 });
    expect((await ask("PUT", "/planted-bucket")).status).toBe(200);
    const keyOf = "/planted-bucket/damaged";
    expect((await ask("PUT", keyOf, "x".repeat(1_000_000))).status).toBe(200);
    const url = presign(root, { method: "GET", url: `${endpoint}${keyOf}` });
    expect(await (await fetch(url)).text()).toHaveLength(1_000_000);
    await damage(router.root);
    const cut = await fetch(url)
      .then((answer) => answer.text())
      .catch(() => "");
    expect(cut).toBe("");
    expect((await fetch(url.replace(/.$/, "g"))).status).toBe(403);
    expect((await fetch(`${url}&extra=%ZZ`)).status).toBeGreaterThanOrEqual(400);
    const access = await untilRead(line.path("access.log"), /"key":"damaged"/);
    const seen = [access, router.service.stdout(), router.service.stderr()];
    for (const pid of processes) seen.push(await readFile(`/proc/${pid}/cmdline`, "utf8"));
    expect(router.service.stderr()).toMatch(/a stored object is damaged/);
    const signature = /X-Amz-Signature=(\w+)/.exec(url)![1]!;
    for (const secret of [keyText, root.secretKey, userSecret, signature, signature.slice(0, -1), "X-Amz-"]) {
      expect([secret, seen.join("\n").includes(secret)]).toEqual([secret, false]);
    }
  });

  it("can be looked into by its own user and root only: its environment, where secrets were given so", async () => {
    for (const pid of processes) expect((await stat(`/proc/${pid}/environ`)).mode & 0o077).toBe(0);
  });
});

describe.skipIf(process.platform === "win32")("files", () => {
  it("are for their owner only: the directory, volumes, datastore, snapshots and the key", async () => {
    const made = await line.start("router", "own/with-key", "--durability", "os");
    const other = await line.start("server", "own/server", "--durability", "os");
    for (const { root: place } of [router, made, other]) {
      expect((await stat(path.dirname(place))).mode & 0o077).toBe(0);
      expect((await stat(place)).mode & 0o077).toBe(0);
      // What is not below a closed directory of its own is closed itself: the store can lie in a directory that was there.
      for (const entry of await readdir(place)) {
        const open = (await stat(path.join(place, entry))).mode & 0o077;
        expect([entry, entry === "lock" ? 0 : open]).toEqual([entry, 0]);
      }
    }
    expect((await stat(path.join(made.root, "key"))).mode & 0o777).toBe(0o600);
  });
});

describe.skipIf(!isLinux || !hasRedisServer())("Redis", () => {
  it("is spoken to over TLS and with a password: who listens has nothing, and nobody is shown the password", async () => {
    const folder = await line.place.folder("tls");
    const [cert, key] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    const names = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", ["req", "-x509", ...curve, ...names, "-out", cert, "-keyout", key], { stdio: "ignore" });
    const tlsPort = String(await freePort());
    const tls = ["--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"];
    const redis = await RedisServer.start(...tls, "--requirepass", "planted-password");
    const wire = await Recorder.before(Number(tlsPort));
    try {
      const url = `rediss://:planted-password@127.0.0.1:${wire.port}`;
      const args = ["router", "--root", "of-redis", "--port", "0", "--response-port", "0"];
      const env = { DATA_PUTTER_DATASTORE: url, NODE_EXTRA_CA_CERTS: cert };
      const ready = { cwd: line.folder, env, ready: /key from/ };
      const service = await line.place.start("data-putter", [...args, "--log-level", "debug"], ready);
      await service.stop();
      const shown = [service.stdout(), service.stderr(), wire.seen().toString("latin1")];
      expect(shown[0]).toMatch(/datastore +redis, at 127\.0\.0\.1:/);
      expect(wire.seen().length).toBeGreaterThan(1000);
      // Where others would see it, it is refused, and not repeated.
      const refused = await line.run([...args, "--datastore", url]);
      expect(refused.code).toBe(2);
      for (const text of [...shown, refused.stderr]) expect(text).not.toMatch(/planted-password|data-putter:data/);
    } finally {
      await wire.close();
      await redis.stop();
    }
  });
});

describe("options", () => {
  it("that take a secret are variables only: no command line and no file has one", () => {
    const all = Object.entries(options as unknown as { readonly [name: string]: AnyOption });
    const secret = all.filter(([name, option]) => option.secret === true || /secret|password/i.test(name));
    expect(secret.map(([name]) => name)).toEqual(["key", "rootSecretKey", "newSecretKey"]);
    for (const [name, { flag, fileKey, variables }] of secret) {
      expect([name, flag, fileKey, variables?.length]).toEqual([name, undefined, undefined, 1]);
    }
  });
});

interface AnyOption {
  readonly secret?: true;
  readonly flag?: string;
  readonly fileKey?: string;
  readonly variables?: readonly unknown[];
}

/** Addresses that a process listens on, and paths of its Unix sockets that can be connected to. */
async function listeningOf(pid: number): Promise<string[]> {
  const inodes = new Set<string>();
  for (const name of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => "");
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const places: string[] = [];
  for (const table of ["tcp", "tcp6"]) {
    for (const row of await rowsOf(`/proc/${pid}/net/${table}`)) {
      const [, local = "", , state, , , , , , inode = ""] = row;
      if (state === "0A" && inodes.has(inode)) places.push(addressOf(local));
    }
  }
  for (const [, , , flags, , , inode = "", name = "(no name)"] of await rowsOf(`/proc/${pid}/net/unix`)) {
    // __SO_ACCEPTCON: it listens.
    if (flags === "00010000" && inodes.has(inode)) places.push(name);
  }
  return places;
}

async function rowsOf(file: string): Promise<string[][]> {
  const lines = (await readFile(file, "utf8")).trim().split("\n").slice(1);
  return lines.map((text) => text.trim().split(/\s+/));
}

/** `0100007F:1F90`, an IPv4 address as it lies in memory. */
function addressOf(text: string): string {
  const [host = "", port = ""] = text.split(":");
  if (host.length !== 8) return `[${host}]:${Number.parseInt(port, 16)}`;
  const bytes = host.match(/../g)!.map((hex) => Number.parseInt(hex, 16));
  return `${bytes.toReversed().join(".")}:${Number.parseInt(port, 16)}`;
}

/** The only object's bytes are changed on the disk. */
async function damage(place: string): Promise<void> {
  for (const name of await readdir(place, { recursive: true })) {
    if (path.basename(name) !== "obj") continue;
    const file = path.join(place, name);
    const bytes = await readFile(file);
    const at = bytes.indexOf("xxxx");
    if (at < 0) continue;
    bytes[at + 900_000] = 0;
    await writeFile(file, bytes);
  }
}

async function untilRead(file: string, wanted: RegExp): Promise<string> {
  for (;;) {
    const text = await readFile(file, "utf8");
    if (wanted.test(text)) return text;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
