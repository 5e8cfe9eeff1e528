/** put, get, ls, stat, rm, verify and status against a router of their own. */
import { once } from "node:events";
import { spawn } from "node:child_process";
import { open, readdir, stat, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, CommandLine, type RunningService } from "./support/cli.ts";
import { executable, type Outcome, type RunOptions, someBytes } from "./support/program.ts";

let line: CommandLine;
let router: RunningService;

beforeAll(async () => {
  line = await CommandLine.make();
  router = await line.start("router", "data");
});
afterAll(() => line.place.remove());

function client(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Outcome> {
  return line.run(args, { ...clientOf(router), ...options });
}

async function stored(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(line.path(name), bytes);
  const { code, stdout, stderr } = await client(["put", name, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  return (JSON.parse(stdout) as { object: string }).object;
}

describe("there and back", () => {
  it.each([0, 1, 1458, 1459, 5_000_000])("%i bytes", async (size) => {
    const bytes = someBytes(size, size);
    const object = await stored(`in-${size}`, bytes);
    const got = await client(["get", object, "-o", `out-${size}`]);
    expect(got).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(Buffer.compare(await line.read(`out-${size}`), bytes)).toBe(0);
    const { stdout } = await client(["stat", object, "--json"]);
    const tickets = Math.ceil(size / 1458);
    expect(JSON.parse(stdout)).toMatchObject({
      object,
      status: "saved",
      size,
      ticketCount: tickets,
      writeCount: tickets,
    });
  });

  it("from standard input, to standard output", async () => {
    const text = "text, so that it passes through this test's pipes\n".repeat(1000);
    const { stdout, code } = await client(["put", "-"], { input: Buffer.from(text) });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[0-9A-Z]+ {2}-\n$/);
    expect(await client(["get", stdout.split(" ")[0]!])).toEqual({ code: 0, stdout: text, stderr: "" });
  });

  it("a range", async () => {
    const bytes = someBytes(100_000, 3);
    const object = await stored("range", bytes);
    expect((await client(["get", object, "-o", "part", "--offset", "1457", "--length", "1460"])).code).toBe(0);
    expect(Buffer.compare(await line.read("part"), bytes.subarray(1457, 2917))).toBe(0);
    expect((await client(["get", object, "-o", "part", "--offset", "99999", "--length", "5"])).code).toBe(0);
    expect(Buffer.compare(await line.read("part"), bytes.subarray(99_999))).toBe(0);
    const beyond = await client(["get", object, "-o", "none", "--offset", "100001"]);
    expect(beyond.code).toBe(2);
    expect(beyond.stderr).toContain("at most the object's size, 100000, not 100001");
  });

  it("several files, of which the missing ones are told before anything is sent", async () => {
    await writeFile(line.path("one"), "1");
    const before = await client(["ls", "--json"]);
    const refused = await client(["put", "one", "missing-1", "missing-2"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/missing-1[\s\S]*missing-2/);
    expect((await client(["ls", "--json"])).stdout).toBe(before.stdout);
    expect((await client(["put", "one", "one"])).stdout).toMatch(/^\w+ {2}one\n\w+ {2}one\n$/);
  });
});

describe("get -o", () => {
  it("goes on where it was cut off, and only then has the name", async () => {
    const bytes = someBytes(3_000_000, 5);
    const object = await stored("resumed", bytes);
    const { stdout } = await client(["get", object, "-o", "whole", "--json"]);
    const { file: _file, resumedAt: _resumedAt, ...identity } = JSON.parse(stdout) as Record<string, unknown>;
    await writeFile(line.path("back.part"), bytes.subarray(0, 1_000_000));
    await writeFile(line.path("back.part.json"), JSON.stringify({ ...identity, synced: 1_000_000 }));
    const got = await client(["get", object, "-o", "back", "--resume", "--json"]);
    expect(got.code).toBe(0);
    expect(JSON.parse(got.stdout)).toMatchObject({ resumedAt: 1_000_000 });
    expect(Buffer.compare(await line.read("back"), bytes)).toBe(0);
    expect((await readdir(line.folder)).filter((name) => name.startsWith("back"))).toEqual(["back"]);
  });

  it("a part of unknown origin is fetched anew", async () => {
    const bytes = someBytes(300_000, 6);
    const object = await stored("anew", bytes);
    await writeFile(line.path("anew-back.part"), someBytes(100_000, 7));
    expect((await client(["get", object, "-o", "anew-back", "--resume"])).code).toBe(0);
    expect(Buffer.compare(await line.read("anew-back"), bytes)).toBe(0);
  });

  it("what there is not leaves no file", async () => {
    const got = await client(["get", "ZZZZ", "-o", "absent"]);
    expect([got.code, got.stderr]).toEqual([1, "data-putter get: there is no object ZZZZ\n"]);
    expect((await readdir(line.folder)).filter((name) => name.startsWith("absent"))).toEqual([]);
  });

  it("a directory is refused, a device is written as it is", async () => {
    const object = await stored("device", Buffer.from("x"));
    expect((await client(["get", object, "-o", "."])).code).toBe(2);
    if (process.platform === "win32") return;
    expect((await client(["get", object, "-o", "/dev/null"])).code).toBe(0);
    expect((await stat("/dev/null")).isFile()).toBe(false);
  });
});

describe("ls, stat, rm", () => {
  it("lists in order of id, by pages of any size", async () => {
    const all = (await client(["ls", "--json"])).stdout.trim().split("\n");
    const objects = all.map((text) => (JSON.parse(text) as { object: string }).object);
    expect(objects.length).toBeGreaterThan(5);
    const some = await client(["ls", "--json", "--after", objects[1]!, "--limit", "2"]);
    expect(some.stdout.trim().split("\n")).toEqual(all.slice(2, 4));
    const table = (await client(["ls"])).stdout.trim().split("\n");
    expect(table[0]).toMatch(/^OBJECT +STATUS +SIZE +TICKETS +WRITTEN +CREATED$/);
    expect(table).toHaveLength(objects.length + 1);
  });

  it("stat tells runs and volumes", async () => {
    const object = await stored("runs", someBytes(20_000, 1));
    const { stdout } = await client(["stat", object]);
    expect(stdout).toMatch(/^size +20,000 B \(20\.0 kB\)$/m);
    expect(stdout).toMatch(/^runs +1$/m);
    expect(stdout).toMatch(/^ +run +from \w+, 14 tickets$/m);
    expect(stdout).toMatch(/^volume +\(root\) of /m);
  });

  it("stat --watch follows a write to its end", async () => {
    const socket = net.connect(router.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(someBytes(10_000, 2));
    const object = await untilWriting();
    const watching = client(["stat", object, "--watch", "--json"]);
    socket.end(someBytes(10_000, 3));
    const { code, stdout } = await watching;
    expect(code).toBe(0);
    const told = stdout.trim().split("\n");
    expect(JSON.parse(told.at(-1)!)).toMatchObject({ object, status: "saved", size: 20_000 });
  });

  async function untilWriting(): Promise<string> {
    for (;;) {
      const lines = (await client(["ls", "--json"])).stdout.trim().split("\n");
      const last = JSON.parse(lines.at(-1)!) as { object: string; status: string };
      if (last.status === "writing") return last.object;
    }
  }

  it("rm removes what is there, tells what is not", async () => {
    const object = await stored("removed", Buffer.from("gone"));
    const removed = await client(["rm", object, "ZZZZ"]);
    expect(removed).toEqual({
      code: 1,
      stdout: `${object}\n`,
      stderr: "data-putter rm: ZZZZ: there is no such object\n",
    });
    expect((await client(["get", object])).code).toBe(1);
  });

  it.each(["get", "stat", "rm", "verify"])("%s names every operand that is no id", async (command) => {
    const outcome = await client([command, "abc"]);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toContain('OBJECT: 1 to 8 characters of 0-9 and A-Z, not "abc"');
  });
});

describe("status, pipes, keys, ports", () => {
  it("status is JSON for programs and lines for people", async () => {
    const status = JSON.parse((await client(["status", "--json"])).stdout) as { fingerprint: string };
    expect(status.fingerprint).toBe(router.fingerprint);
    expect((await client(["status"])).stdout).toMatch(/^counters\.objects +\d+$/m);
  });

  it("a reader that goes away is no failure", async () => {
    const object = await stored("long", someBytes(3_000_000, 8));
    const env = line.place.environment(clientOf(router).env);
    const child = spawn(process.execPath, [executable, "get", object], {
      cwd: line.folder,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    const [code] = (await once(child, "exit")) as [number];
    expect([code, said]).toEqual([0, ""]);
  });

  it("another key is told by both fingerprints, exit code 4", async () => {
    const made = JSON.parse((await line.run(["key", "make", "other.key", "--json"])).stdout) as { fingerprint: string };
    const outcome = await client(["ls", "--key-file", "other.key"]);
    expect(outcome.code).toBe(4);
    expect(outcome.stderr).toContain(made.fingerprint);
    expect(outcome.stderr).toContain(router.fingerprint);
    expect((await line.run(["key", "make", "other.key"])).code).toBe(1);
  });

  it("no key at all says how to give one", async () => {
    const { env } = clientOf(router);
    const { DATA_PUTTER_KEY_FILE: _, ...withoutKey } = env;
    const cwd = await line.place.folder("elsewhere");
    const outcome = await line.run(["ls"], { cwd, env: withoutKey });
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toMatch(/--key-file FILE or DATA_PUTTER_KEY/);
    // In the folder of the router, its key is found.
    expect((await line.run(["ls"], { env: withoutKey })).code).toBe(0);
  });

  it.each([["put", "one"], ["ls"]])("%s where nothing listens: exit code 3, at once", async (...args) => {
    await writeFile(line.path("one"), "1");
    const startedAt = performance.now();
    const outcome = await client([...args, "--port", "1"]);
    expect(outcome.code).toBe(3);
    expect(outcome.stderr).toMatch(/^data-putter \w+: .*127\.0\.0\.1:1 cannot be reached/);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it("a port that takes connections and says nothing is given up within seconds", async () => {
    const server = net.createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const outcome = await client(["ls", "--port", String(port)]);
    server.close();
    expect(outcome.code).toBe(3);
    expect(outcome.stderr).toMatch(/is it the right port\?/);
  });
});

describe("verify", () => {
  it("finds nothing in a whole store, and in a damaged one the object, the offset and the volume", async () => {
    const own = await line.start("router", "damaged", "--durability", "os");
    const there = clientOf(own);
    await writeFile(line.path("bytes"), someBytes(20_000, 9));
    const [object] = (await line.run(["put", "bytes"], there)).stdout.split(" ");
    const whole = await line.run(["verify"], there);
    expect([whole.code, whole.stdout]).toEqual([0, ""]);
    await own.service.stop();

    const file = await open(path.join(own.root, "obj"), "r+");
    await file.write(Buffer.from([0xff, 0x00, 0xff]), 0, 3, 3 * 1458);
    await file.close();
    const again = await line.start("router", "damaged");
    const outcome = await line.run(["verify", object!], clientOf(again));
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toMatch(
      new RegExp(`^object ${object}  offset 4374  ticket 3  corrupt  volume \\(root\\) of .+\n$`),
    );
    const json = await line.run(["verify", "--json"], clientOf(again));
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout.trim().split("\n").at(-1)!)).toEqual({ objects: 1, tickets: 14, damages: 1 });
    const got = await line.run(["get", object!, "-o", "never"], clientOf(again));
    expect(got.code).toBe(1);
    expect(got.stderr).toMatch(/is damaged at byte 4374/);
    expect(got.stderr).not.toMatch(/--resume/);
    expect((await readdir(line.folder)).includes("never")).toBe(false);
    await again.service.stop();
  });
});
