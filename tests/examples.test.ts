/** The programs in examples/, run as their head comments say, against real processes. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort, projectRoot, type Service, someBytes, Workplace } from "./support/program.ts";

const ticketDataSize = 1458;
let place: Workplace;
let root: string;
const bytes = someBytes(300 * ticketDataSize + 77, 1);
let file: string;

beforeAll(async () => {
  place = await Workplace.make();
  root = await place.folder("root");
  file = path.join(place.directory, "file");
  await writeFile(file, bytes);
});

afterAll(async () => {
  await place.remove();
});

describe("ticket-client.py", () => {
  const client = path.join(projectRoot, "examples", "ticket-client.py");
  let server: Service;
  let port: string;

  beforeAll(async () => {
    port = String(await freePort());
    const args = ["server", "--root", root, "--port", port, "--depth", "2"];
    server = await place.start("data-putter", args, { cwd: place.directory, ready: /key fingerprint/ });
  });

  afterAll(async () => {
    await server.stop();
  });

  const send = (...args: string[]): ReturnType<Workplace["run"]> =>
    place.run("python3", [client, ...args, "--port", port], { cwd: root });

  test("is a whole client in less than 80 lines", async () => {
    const lines = (await readFile(client, "utf8")).trimEnd().split("\n");
    expect(lines.length).toBeLessThan(80);
    const modules = /^import (.*)$/m.exec(lines.join("\n"))![1]!.split(", ");
    const script = "import sys; sys.exit(not set(sys.argv[1:]) <= set(sys.stdlib_module_names))";
    expect(await place.run("python3", ["-c", script, ...modules], { cwd: root })).toMatchObject({ code: 0 });
  });

  test("sends a file as tickets, and the file's bytes lie on the server's disk", async () => {
    const { code, stdout } = await send(file, "--first", "AABB0000");
    expect(stdout).toMatch(/^301 tickets from AABB0000 on in [\d.]+ s: 301 saved\n$/);
    expect(code).toBe(0);
    const obj = await readFile(path.join(root, "AA", "BB", "obj"));
    // Slot of the first four-character tail: DESIGN section 4.
    const from = 47_988 * ticketDataSize;
    expect(obj.subarray(from, from + bytes.length).equals(bytes)).toBe(true);
    expect(obj.subarray(from + bytes.length).equals(Buffer.alloc(301 * ticketDataSize - bytes.length))).toBe(true);
  });

  test("a file sent again under the same ids is saved once and answered 0 both times", async () => {
    await send(file, "--first", "CC000000");
    expect(await send(file, "--first", "CC000000")).toMatchObject({ code: 0 });
  });

  test("ids go on from ZZZ to 0000", async () => {
    const { code, stdout } = await send(file, "--first", "ZZY");
    expect(stdout).toContain("301 saved");
    expect(code).toBe(0);
    // Ordinals of ZZY, ZZZ, 0000 follow one another, so that the bytes do too.
    const obj = await readFile(path.join(root, "obj"));
    const from = 47_986 * ticketDataSize;
    expect(obj.subarray(from, from + bytes.length).equals(bytes)).toBe(true);
  });

  test("ids that hold other bytes, and a wrong key, are told ticket by ticket, with exit code 1", async () => {
    await send(file, "--first", "DD000000");
    const other = path.join(place.directory, "other");
    await writeFile(other, someBytes(10 * ticketDataSize, 2));
    const taken = await send(other, "--first", "DD000000");
    expect(taken).toMatchObject({ code: 1, stdout: expect.stringContaining("10 id is taken") as string });
    const key = path.join(place.directory, "other-key");
    await writeFile(key, `${"00".repeat(16)}\n`);
    const refused = await send(other, "--first", "DD000000", "--key-file", key);
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining("10 wrong checksum") as string });
  });

  test("more than a window of tickets all arrive", async () => {
    const large = path.join(place.directory, "large");
    await writeFile(large, someBytes(5_000 * ticketDataSize, 3));
    const { code, stdout } = await send(large);
    expect(stdout).toContain("5000 saved");
    expect(code).toBe(0);
  });

  test("where nothing listens it says so within seconds", async () => {
    const nothing = String(await freePort());
    const outcome = await place.run("python3", [client, file, "--port", nothing], {
      cwd: root,
      timeoutMs: 10_000,
    });
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining("refused") as string });
  });
});

describe("with the package's own entry", () => {
  const compiled = path.join(projectRoot, "dist", "example");

  beforeAll(async () => {
    const compiler = path.join(projectRoot, "node_modules", "typescript", "bin", "tsc");
    await place.done(process.execPath, [compiler, "-p", "examples"], { cwd: projectRoot });
  });

  test("store-and-read.ts stores a file and gets the same bytes back, again and again, and empty ones", async () => {
    const empty = path.join(place.directory, "empty");
    await writeFile(empty, "");
    for (const [name, size] of [
      [file, bytes.length],
      [file, bytes.length],
      [empty, 0],
    ] as const) {
      const args = [path.join(compiled, "store-and-read.js"), name, "--root", "in-process"];
      const { code, stdout } = await place.run(process.execPath, args, { cwd: place.directory });
      expect(stdout).toContain(`${size} bytes came back, every one verified: the same bytes\n`);
      expect(code).toBe(0);
    }
  });

  test("s3-in-tests.ts is a test suite that passes", async () => {
    const args = [path.join(compiled, "s3-in-tests.js")];
    const { code, stdout } = await place.run(process.execPath, args, { cwd: place.directory });
    expect(stdout).toMatch(/^(#|ℹ) pass 3$/m);
    expect(code).toBe(0);
  });
});
