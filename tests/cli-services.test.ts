/** router, server and loopback as processes: starting, refusing to start, ending; and mistakes on the command line. */
import { once } from "node:events";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, CommandLine } from "./support/cli.ts";
import { someBytes } from "./support/program.ts";

let line: CommandLine;
beforeAll(async () => {
  line = await CommandLine.make();
});
afterAll(() => line.place.remove());

describe("router", () => {
  it("makes its key for its owner only, and says where everything is", async () => {
    const args = ["router", "--root", "banner", "--port", "0", "--response-port", "0"];
    const service = await line.place.start("data-putter", args, { cwd: line.folder, ready: /key from/ });
    const key = line.path("banner/key");
    if (process.platform !== "win32") expect((await stat(key)).mode & 0o777).toBe(0o600);
    for (const label of ["streams", "data", "datastore", "durability", "key fingerprint", "store a file"]) {
      expect(service.stdout()).toMatch(new RegExp(`^  ${label} +\\S`, "m"));
    }
    expect(service.stdout()).toMatch(/nc -N 127\.0\.0\.1 \d+ < FILE/);
    expect(service.stdout() + service.stderr()).not.toContain((await readFile(key, "utf8")).trim());
    expect(await service.stop()).toBe(0);
  });

  it("asked to close, it refuses aloud what was not sent whole, and stores none of it", async () => {
    const router = await line.start("router", "drained");
    const socket = net.connect({ port: router.port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    socket.write(someBytes(100_000, 1));
    await untilWriting(clientOf(router).env);
    const stopped = router.service.stop();
    await once(socket, "end");
    socket.destroy();
    await closed;
    expect(answer).toBe("ERROR the router is closing\n");
    expect(await stopped).toBe(0);
    const again = await line.start("router", "drained");
    const listed = await line.run(["ls", "--json"], clientOf(again));
    expect(listed.stdout).not.toContain("saved");
    expect(await again.service.stop()).toBe(0);
  });

  async function untilWriting(env: Record<string, string>): Promise<void> {
    for (let text = ""; !text.includes('"status":"writing"');)
      text = (await line.run(["ls", "--json"], { env })).stdout;
  }

  it("has its directory alone", async () => {
    const router = await line.start("router", "alone");
    const second = await line.run(["router", "--root", "alone", "--port", "0", "--response-port", "0"]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^data-putter router: .* is in use by another data-putter process.*\n$/);
    await router.service.kill();
    const third = await line.start("router", "alone");
    expect(third.fingerprint).toBe(router.fingerprint);
    expect(await third.service.stop()).toBe(0);
  });

  it("a port that is in use is one line, and leaves nothing locked", async () => {
    const router = await line.start("router", "first");
    const args = ["router", "--root", "second", "--port", String(router.port), "--response-port", "0"];
    const refused = await line.run(args);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^data-putter router: --port: cannot listen on 127\.0\.0\.1:\d+: .*\n$/m);
    expect(refused.stderr).not.toMatch(/^ +at /m);
    const second = await line.start("router", "second");
    expect([await second.service.stop(), await router.service.stop()]).toEqual([0, 0]);
  });

  it("does not start on data that has lost its key, nor with another one", async () => {
    const router = await line.start("router", "keyed");
    await router.service.stop();
    await line.run(["key", "make", "another.key"]);
    const start = ["router", "--root", "keyed", "--port", "0", "--response-port", "0"];
    const other = await line.run([...start, "--key-file", "another.key"]);
    expect(other.code).toBe(4);
    expect(other.stderr).toContain(router.fingerprint);
    const without = path.join(router.root, "key");
    await writeFile(`${without}.kept`, await readFile(without), { mode: 0o600 });
    await rm(without);
    const lost = await line.run(start);
    expect(lost.code).toBe(2);
    expect(lost.stderr).toMatch(/holds data, but its key .* is not there/);
    expect(await readdir(router.root)).not.toContain("key");
  });
});

describe("wrong usage", () => {
  it("every wrong setting is told at once, and nothing is made", async () => {
    const env = { DATA_PUTTER_DEPTH: "1", DATA_PUTTER_RUUT: "x" };
    const outcome = await line.run(["router", "--root", "unmade", "--port", "x", "--datastore", "sqlite"], { env });
    expect(outcome.code).toBe(2);
    for (const name of ["DATA_PUTTER_RUUT", "--port", "DATA_PUTTER_DEPTH", "--datastore"]) {
      expect(outcome.stderr).toMatch(new RegExp(`^  ${name}: `, "m"));
    }
    expect(await readdir(line.folder)).not.toContain("unmade");
  });

  it.each([
    [[]],
    [["frob"]],
    [["get"]],
    [["get", "1", "2"]],
    [["ls", "--frob"]],
    [["key"]],
    [["router", "--s4-port", "9000"]],
  ])("%j: exit code 2", async (args) => {
    const outcome = await line.run(args);
    expect([outcome.code, outcome.stdout]).toEqual([2, ""]);
    expect(outcome.stderr).not.toBe("");
  });

  it("help is no mistake, and tells the exit codes", async () => {
    for (const args of [["--help"], ["get", "--help"], ["key", "make", "--help"], ["help", "router"]]) {
      const outcome = await line.run(args);
      expect([outcome.code, outcome.stderr]).toEqual([0, ""]);
      if (args.length < 3) expect(outcome.stdout).toContain("Exit codes:");
    }
    expect((await line.run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("server and loopback", () => {
  it("sends, checks and counts; again under the same ids; a file", async () => {
    const server = await line.start("server", "tickets", "--depth", "2");
    const there = [...(await loopbackArgs(server.port, server.root)), "--json"];
    const outcome = await line.run([...there, "--count", "5000", "--connections", "3", "--in-flight", "500"]);
    expect(outcome.code).toBe(0);
    const summary = JSON.parse(outcome.stdout) as { first: string };
    expect(summary).toMatchObject({ count: 5000, saved: 5000, lost: 0, statuses: { 0: 5000 } });
    const again = await line.run([...there, "--count", "5000", "--first", summary.first, "--in-flight", "10000"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ saved: 5000 });

    const bytes = someBytes(10_000, 4);
    await writeFile(line.path("ten"), bytes);
    const sent = await line.run([...there, "--file", "ten", "--first", "0"]);
    expect(JSON.parse(sent.stdout)).toMatchObject({ count: 7, saved: 7 });
    expect(Buffer.compare((await readFile(path.join(server.root, "obj"))).subarray(0, 10_000), bytes)).toBe(0);

    const other = await line.run([...there, "--count", "7", "--first", "0"]);
    expect(other.code).toBe(1);
    expect(JSON.parse(other.stdout)).toMatchObject({ saved: 0, statuses: { 5: 7 } });
    expect(await server.service.stop()).toBe(0);
  });

  it("at depth 4, one file a ticket", async () => {
    const server = await line.start("server", "files", "--durability", "os");
    const args = [...(await loopbackArgs(server.port, server.root)), "--count", "10", "--first", "AABBCC00"];
    const outcome = await line.run(args);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/^10 of 10 tickets from AABBCC00 on saved by /);
    expect((await stat(path.join(server.root, "AA/BB/CC/09/obj"))).size).toBe(1458);
    expect(await server.service.stop()).toBe(0);
  });

  it("another key: exit code 4, both fingerprints", async () => {
    const server = await line.start("server", "strict");
    const made = JSON.parse((await line.run(["key", "make", "strange.key", "--json"])).stdout) as {
      fingerprint: string;
    };
    const outcome = await line.run(["loopback", "--port", String(server.port), "--key-file", "strange.key"]);
    expect(outcome.code).toBe(4);
    expect(outcome.stderr).toContain(made.fingerprint);
    expect(outcome.stderr).toContain(server.fingerprint);
    expect(await server.service.stop()).toBe(0);
  });

  it("a server that goes away in the middle: exit code 3, and the lost ones are counted", async () => {
    const server = await line.start("server", "lost", "--depth", "2");
    const args = [...(await loopbackArgs(server.port, server.root)), "--count", "50000000", "--json"];
    const running = line.run(args);
    await untilStored(server.root);
    await server.service.kill();
    const { code, stdout, stderr } = await running;
    expect(code).toBe(3);
    expect((JSON.parse(stdout) as { lost: number }).lost).toBeGreaterThan(0);
    expect(stderr).toMatch(/was lost with [\d,]+ tickets unanswered/);
  });

  it("where nothing listens: exit code 3, at once", async () => {
    const startedAt = performance.now();
    await line.run(["key", "make", "any.key"]);
    const outcome = await line.run(["loopback", "--port", "1", "--key-file", "any.key"]);
    expect(outcome.code).toBe(3);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  async function loopbackArgs(port: number, root: string): Promise<string[]> {
    return ["loopback", "--port", String(port), "--key-file", path.join(root, "key")];
  }

  async function untilStored(root: string): Promise<void> {
    for (let found = false; !found;) {
      found = (await readdir(root)).some((name) => /^[0-9A-Z]{1,2}$/.test(name));
    }
  }
});
