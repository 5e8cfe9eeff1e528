/**
 * What the clients' sessions share: a router of the built program on a real disk, a home that has nothing of its user's,
 * and trees of files to send there and back.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, writeFile, utimes } from "node:fs/promises";
import path from "node:path";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunOptions, type Service, someBytes, Workplace } from "../support/program.ts";
import { type ClientName, findClients, type FoundClient } from "./clients.ts";

export const accessKey = "SESSIONACCESSKEY";
export const secretKey = "session/secret+key";
export const region = "us-east-1";
export const megabyte = 1_000_000;
/** More than the 1,000 of a page of a listing. */
export const manyCount = 1_100;
export const largeSize = 100 * megabyte;

export interface SessionOptions {
  /** More for the router's command line; relative paths are below the session's directory. */
  readonly args?: readonly string[];
  /** Before the router starts. */
  readonly prepare?: (session: Session) => Promise<void>;
  /** Why no such session can be had on this machine. */
  readonly impossible?: string;
}

/** What a session is given; started before its first test. */
export class Session {
  readonly client: FoundClient;
  readonly #options: SessionOptions;
  #place: Workplace | undefined;
  #router: Service | undefined;
  port = 0;

  constructor(client: FoundClient, options: SessionOptions) {
    this.client = client;
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#place = await Workplace.make();
    await this.#place.folder("home");
    await this.#options.prepare?.(this);
    const args = ["router", "--root", "data", "--json", "--port", "0", "--response-port", "0", "--s3-port", "0"];
    const all = [...args, "--access-log", "access.log", ...(this.#options.args ?? [])];
    const env = { DATA_PUTTER_ACCESS_KEY: accessKey, DATA_PUTTER_SECRET_KEY: secretKey };
    this.#router = await this.#place.start("data-putter", all, { cwd: this.path(), env, ready: /\n/ });
    this.port = (JSON.parse(this.#router.stdout()) as { s3Port: number }).s3Port;
  }

  async close(): Promise<void> {
    await this.#place?.remove();
  }

  get place(): Workplace {
    if (this.#place === undefined) throw new Error("the session has not begun");
    return this.#place;
  }

  get router(): Service {
    if (this.#router === undefined) throw new Error("the session has not begun");
    return this.#router;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get endpoint(): string {
    return `http://${this.host}`;
  }

  /** Below the session's own directory, where commands run. */
  path(...names: readonly string[]): string {
    return path.join(this.place.directory, ...names);
  }

  /** Writes a file of that name; resolves to its path. */
  async file(name: string, content: string | Uint8Array): Promise<string> {
    const file = this.path(name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o600 });
    return file;
  }

  /** The client itself. */
  run(args: readonly string[], options: Partial<RunOptions> = {}): Promise<string> {
    return this.command(this.client.at, args, options);
  }

  /** Any program, to its end; what it printed. Exit codes other than 0 are errors that show what was said. */
  command(program: string, args: readonly string[], options: Partial<RunOptions> = {}): Promise<string> {
    return this.place.done(program, args, this.#surroundings(options));
  }

  /** As `command`, for one that may fail. */
  outcome(program: string, args: readonly string[], options: Partial<RunOptions> = {}): ReturnType<Workplace["run"]> {
    return this.place.run(program, args, this.#surroundings(options));
  }

  #surroundings(options: Partial<RunOptions>): RunOptions {
    const env = {
      HOME: this.path("home"),
      XDG_CONFIG_HOME: this.path("home", ".config"),
      XDG_CACHE_HOME: this.path("home", ".cache"),
      NO_PROXY: "127.0.0.1,localhost",
      no_proxy: "127.0.0.1,localhost",
      ...options.env,
    };
    return { cwd: this.path(), timeoutMs: 110_000, ...options, env };
  }

  /** What `diff -r` says of two folders: nothing where they have the same files with the same bytes. */
  async differences(one: string, other: string): Promise<string> {
    const { stdout, stderr } = await this.outcome("diff", ["-r", "--brief", one, other]);
    return stdout + stderr;
  }

  /** By a presigned URL, as somebody without keys would; the body that came back. */
  curl(args: readonly string[]): Promise<string> {
    return this.command("curl", ["--silent", "--show-error", "--fail", ...args]);
  }
}

/** What a session does that is not its client's business; defaults but for where the store is. */
export function sdkClient({ endpoint }: Session): S3Client {
  return new S3Client({ endpoint, region, credentials: { accessKeyId: accessKey, secretAccessKey: secretKey } });
}

/** Small objects under these keys, each its own content; some at a time. */
export async function putObjects(client: S3Client, bucket: string, keys: readonly string[]): Promise<void> {
  for (let first = 0; first < keys.length; first += 32) {
    const some = keys.slice(first, first + 32);
    await Promise.all(some.map((key) => client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: key }))));
  }
}

/**
 * A client's session: the same steps for each version of it on this machine. Where there is none they are skipped, but CI
 * has to have them all.
 */
export function describeSession(
  name: ClientName,
  steps: (session: Session) => void,
  options: SessionOptions = {},
): void {
  const found = options.impossible === undefined ? findClients(name) : [];
  const isWanted = process.env["CI"] === "true" && options.impossible === undefined;
  if (found.length === 0) {
    const why = options.impossible ?? "not installed here";
    test.skipIf(!isWanted)(`${name}: ${why}`, () => expect(found).not.toEqual([]));
  }
  for (const client of found) {
    describe(`${name} ${client.version}`, () => {
      const session = new Session(client, options);
      beforeAll(async () => {
        process.stdout.write(`${name} ${client.version}: ${client.at}\n`);
        await session.start();
      });
      afterAll(() => session.close());
      steps(session);
      test("nothing of all that went wrong inside the router, and it ends when it is asked to", async () => {
        const log = await readFile(session.path("access.log"), "utf8");
        const failed = log.split("\n").filter((line) => /"status":50[02-9]/.test(line));
        expect(failed).toEqual([]);
        expect(log).toMatch(/"status":200/);
        expect(session.router.stderr()).not.toMatch(/"level":"?(error|50|fatal|60)/);
        expect(await session.router.stop()).toBe(0);
      });
    });
  }
}

/** Names that trip up who quotes, sorts or signs carelessly. */
const hardNames = [
  "a b/c d.txt",
  "a+b.txt",
  "50%.txt",
  "%41.txt",
  "für/漢字.txt",
  "😀.txt",
  "semi;colon,comma.txt",
  "and&equals=.txt",
  "#hash@at!.txt",
  "(paren)~tilde'quote$.txt",
  "dots..in/name...txt",
  "UPPER/case.TXT",
  "upper/case.txt",
];

/** A tree of small files with names of all kinds, an empty file, and some of several parts. */
export async function makeTree(
  root: string,
  { count, sizes = [] }: { readonly count: number; readonly sizes?: readonly number[] },
): Promise<void> {
  const content = (seed: number): Uint8Array => someBytes(1 + ((seed * 7_919) % 3_000), seed);
  const files: [string, Uint8Array][] = hardNames.map((name, seed) => [name, content(seed)]);
  files.push(["empty", new Uint8Array(0)]);
  for (let index = 0; index < count; index++) {
    const folder = `folder-${index % 17}/deeper-${index % 5}`;
    files.push([`${folder}/file-${index}.bin`, content(index)]);
  }
  for (const [index, size] of sizes.entries()) files.push([`large/${index}.bin`, someBytes(size, index)]);
  for (const folder of new Set(files.map(([name]) => path.dirname(name)))) {
    await mkdir(path.join(root, folder), { recursive: true });
  }
  // Clients that sync compare whole seconds: what was made in the second in which it is sent would be sent again.
  const before = new Date(Date.now() - 60_000);
  for (const [name, bytes] of files) {
    await writeFile(path.join(root, name), bytes);
    await utimes(path.join(root, name), before, before);
  }
}

/** How many files `makeTree` makes for that count and no large ones. */
export function treeSize(count: number): number {
  return count + hardNames.length + 1;
}

/** An assertion of equality takes half a minute for some megabytes. */
export async function hasBytes(file: string, expected: Uint8Array): Promise<boolean> {
  return (await readFile(file)).equals(expected);
}

export async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
