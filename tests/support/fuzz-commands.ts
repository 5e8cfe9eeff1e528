/**
 * Commands against a router that has the key and answers otherwise than one does: each command is run once against a real
 * router, its answers are recorded, and then it gets changed copies of them. It ends in time with a right result or with an
 * error of ours; a file is whole or not there; nothing reaches the terminal that it obeys, and no secret does.
 *
 * Cases are plain JSON, so that those that were found are kept in tests/regressions/commands.json.
 */
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { Writable } from "node:stream";
import { commands } from "../../src/cli/program.ts";
import { Output } from "../../src/cli/context.ts";
import { explain } from "../../src/cli/exit.ts";
import { type OptionName, optionsOf } from "../../src/cli/options.ts";
import { resolveSettings } from "../../src/cli/settings.ts";
import { StoreError } from "../../src/core/errors.ts";
import { ticketDataSize } from "../../src/core/frame.ts";
import { formatId } from "../../src/core/ids.ts";
import { fingerprintOf } from "../../src/core/key.ts";
import { openSortedPort } from "../../src/wire/connection-sorter.ts";
import type { TicketsAnswer } from "../../src/wire/message.ts";
import type { RequestClient } from "../../src/wire/request-client.ts";
import type { Handler } from "../../src/wire/request-server.ts";
import { type AnswerChange, changedParts, type Part } from "./fuzz-commands-changes.ts";
import { type Unhandled, within } from "./fuzz-run.ts";
import { type Belongings, clientKernel, patternOf, quietHost, sameBytes, savedObject, testKey } from "./store.ts";

export interface CommandCase {
  /** Words of the command line, as in `scenarios`. */
  readonly line: string;
  readonly changes: readonly AnswerChange[];
  /** No result can be right. */
  readonly refused?: true;
}

/** What came back from a command. */
interface Outcome {
  readonly code: number | undefined;
  readonly error: unknown;
  readonly stdout: Buffer;
  readonly stderr: string;
}

interface Recorded {
  readonly operation: string;
  readonly parts: readonly Part[];
}

const keyHex = "000102030405060708090a0b0c0d0e0f";
const commandMsMax = 5_000;
const largeSize = 400_000;
const smallSize = 3_000;
const resumedSize = 100_000;
/** A key as no terminal likes it. */
const oddKey = "k\u001b[31m\n\u009b7m";

/** In this order on one store. Words in capitals are ids; FILE is a name in a directory of its own. */
export const scenarios: readonly string[] = [
  "ls",
  "ls --json",
  "ls --limit 2",
  "stat LARGE",
  "stat LARGE --json",
  "stat LARGE --watch",
  "status",
  "status --json",
  "verify",
  "verify --json",
  "verify LARGE DAMAGED",
  "get LARGE -o FILE",
  "get LARGE -o FILE --json --offset 1000 --length 200000",
  "get LARGE -o FILE --resume",
  "get LARGE",
  "get SMALL --offset 100",
  "get DAMAGED -o FILE",
  "user add alice --email alice@example.com",
  "user add bob --account alice --read-only --json",
  "user ls",
  "user ls --json",
  "user rm bob",
  "user rm alice --json",
  "encryption-key add payroll",
  "encryption-key rotate payroll --json",
  "encryption-key ls",
  "encryption-key ls --json",
  "rm LOOSE SMALL ZZZZ",
  "rm LOOSER --json",
];

export class CommandTarget {
  readonly #folder: string;
  readonly #unhandled: Unhandled;
  readonly #large = patternOf(largeSize, 1);
  readonly #small = patternOf(smallSize, 2);
  readonly #ids = new Map<string, string>();
  readonly #recorded = new Map<string, Recorded[]>();
  readonly #secrets: string[] = [keyHex];
  #port = 0;
  #client: RequestClient | undefined;
  /** What is run now. */
  #calls: Recorded[] = [];
  #changes: readonly AnswerChange[] | undefined;
  #callCount = 0;

  private constructor(folder: string, unhandled: Unhandled) {
    this.#folder = folder;
    this.#unhandled = unhandled;
  }

  static async open(belongings: Belongings, unhandled: Unhandled): Promise<CommandTarget> {
    const target = new CommandTarget(path.join(await belongings.directory(), "work"), unhandled);
    await target.#fill(belongings);
    const kernel = clientKernel();
    const port = await openSortedPort({
      host: quietHost,
      kernel,
      bind: "127.0.0.1",
      port: 0,
      requests: {
        host: quietHost,
        kernel,
        fingerprint: fingerprintOf(testKey),
        greeting: () => ({ role: "router" }),
        handle: (request, body, reply) => target.#handle(request, body, reply),
      },
      frames: (connection) => ({
        working: false,
        bytes: (chunk) => chunk.length,
        end: () => connection.destroy(),
        closed: () => undefined,
      }),
    });
    belongings.add(() => port.close());
    target.#port = port.listener.port;
    for (const line of scenarios) await target.#record(line);
    return target;
  }

  /** What each scenario is answered by: for who makes cases. */
  get recorded(): ReadonlyMap<string, readonly Recorded[]> {
    return this.#recorded;
  }

  async check({ line, changes, refused }: CommandCase): Promise<void> {
    const calls = this.#recorded.get(line);
    if (calls === undefined) throw new Error(`${line} was not recorded`);
    this.#calls = calls;
    this.#changes = changes;
    const outcome = await this.#run(line);
    await this.#judge(line, outcome);
    if (refused === true && outcome.error === undefined) throw new Error(`${line}: it was believed: ${outcome.stderr}`);
    await this.#unhandled.check();
  }

  async #fill(belongings: Belongings): Promise<void> {
    const root = await belongings.directory();
    const running = await belongings.router({ root, arena: { tiny: 4, block: 8, group: 1 } });
    const { router } = running;
    await router.datastore.createBucket("bucket", {}, 1);
    for (const name of ["LOOSE", "LOOSER"]) {
      this.#ids.set(name, formatId((await router.put(this.#small, { kind: "standalone" }, {})).id));
    }
    const put = async (name: string, bytes: Uint8Array): Promise<void> => {
      const target = { kind: "file", bucket: "bucket", key: `${oddKey}${name}`, attributes: {} } as const;
      this.#ids.set(name, formatId((await router.put(bytes, target, {})).id));
    };
    await put("LARGE", this.#large);
    await put("SMALL", this.#small);
    await put("DAMAGED", patternOf(smallSize, 3));
    const damaged = await savedObject(router, this.#ids.get("DAMAGED")!);
    if (damaged.content.kind !== "runs") throw new Error("an object of this size is made of runs");
    // All that is written here lies in the first volume, whose slots are ordinals; its second ticket.
    const file = await open(path.join(root, "obj"), "r+");
    await file.write("changed", (damaged.content.runs[0]!.first + 1) * ticketDataSize);
    await file.close();
    this.#client = await belongings.requests(running.responsePort);
  }

  /** A command against the real router: what it is answered by. */
  async #record(line: string): Promise<void> {
    this.#calls = [];
    this.#changes = undefined;
    const outcome = await this.#run(line);
    const isDamaged = /DAMAGED|^verify|ZZZZ/.test(line);
    const isRefused = outcome.error !== undefined || outcome.code !== 0;
    if (isRefused !== isDamaged) throw new Error(`${line}: ${outcome.stderr}`, { cause: outcome.error });
    this.#recorded.set(line, this.#calls);
    await this.#judge(line, outcome);
    const secret = /secret key +(\S+)|"secretKey":"(.*?)"/.exec(outcome.stdout.toString("latin1"));
    if (secret !== null) this.#secrets.push(secret[1] ?? secret[2]!);
  }

  readonly #handle: Handler = async (request, body, reply) => {
    const call = this.#callCount++;
    const { operation, a, b, c } = request;
    if (this.#changes === undefined) {
      this.#calls.push({ operation, parts: await partsOf(this.#client!.ask(operation, { a, b, c }, body)) });
    }
    // Who asks more often than it did gets the last answer, unchanged: whoever waits for something else finds it there.
    const found = this.#calls[call] ?? this.#calls.findLast((one) => one.operation === operation);
    if (found === undefined) throw new StoreError("PROTOCOL", `${operation} was not recorded`);
    const changes = (this.#changes ?? []).filter((change) => change.call === call);
    for (const part of changedParts(found.parts, changes)) {
      if (part.kind === "json") await reply.json(part.value);
      else if (part.kind === "error") throw Object.assign(new StoreError("ABORTED", part.message), { code: part.code });
      else await this.#sendTickets(part, reply);
    }
  };

  async #sendTickets(part: Extract<Part, { kind: "tickets" }>, reply: Parameters<Handler>[2]): Promise<void> {
    const buffer = clientKernel().take("block")!;
    try {
      buffer.data.set(part.data);
      buffer.sums.set(part.sums);
      await reply.tickets(part, buffer);
    } finally {
      buffer.release();
    }
  }

  async #run(line: string): Promise<Outcome> {
    this.#callCount = 0;
    await rm(this.#folder, { recursive: true, force: true });
    await mkdir(this.#folder);
    if (line.includes("--resume")) await this.#leavePart();
    const stdout: Buffer[] = [];
    const stderr: string[] = [];
    const { command, operands, flags } = this.#parse(line);
    const environment = { DATA_PUTTER_KEY: keyHex };
    const resolved = resolveSettings(command.name, { flags, environment, readFile: () => "" });
    if (resolved.kind === "problems") throw new Error(resolved.problems.join("\n"));
    const output = new Output(writable((chunk) => stdout.push(chunk)));
    const errors = writable((chunk) => stderr.push(chunk.toString()));
    const context = { settings: resolved.settings, operands, output, errors, environment };
    const { code, error } = await within(commandMsMax, line, command.run(context)).then(
      (done) => ({ code: done, error: undefined }),
      (thrown: unknown) => ({ code: undefined, error: thrown }),
    );
    if (error !== undefined) stderr.push(...explain(error, command.name).map((said) => `${said}\n`));
    return { code, error, stdout: Buffer.concat(stdout), stderr: stderr.join("") };
  }

  #parse(line: string): {
    readonly command: (typeof commands)[number];
    readonly operands: string[];
    readonly flags: { readonly [name: string]: string | true };
  } {
    const command = commands.find(({ name }) => line === name || line.startsWith(`${name} `))!;
    const words = line
      .slice(command.name.length)
      .split(" ")
      .filter((word) => word !== "")
      .map((word) => this.#ids.get(word) ?? (word === "FILE" ? path.join(this.#folder, "file") : word));
    const flags: { [name: string]: string | true } = { host: "127.0.0.1", requestPort: String(this.#port) };
    const operands: string[] = [];
    for (let word = words.shift(); word !== undefined; word = words.shift()) {
      const [name, option] =
        optionsOf(command.name).find(([, { flag, short }]) => word === flag || word === short) ?? [];
      if (name === undefined) operands.push(word);
      else flags[name satisfies OptionName] = option!.argument === undefined ? true : words.shift()!;
    }
    return { command, operands, flags };
  }

  /** As a `get` leaves it that was interrupted. */
  async #leavePart(): Promise<void> {
    const parts = this.#recorded.get("stat LARGE --json")![0]!.parts;
    const { createdAt } = (parts[0] as { readonly value: { readonly createdAt: number } }).value;
    const file = path.join(this.#folder, "file.part");
    await writeFile(file, this.#large.subarray(0, resumedSize));
    const state = {
      fingerprint: fingerprintOf(testKey),
      object: this.#ids.get("LARGE"),
      createdAt,
      size: largeSize,
      offset: 0,
      length: largeSize,
      synced: resumedSize,
    };
    await writeFile(`${file}.json`, JSON.stringify(state));
  }

  async #judge(line: string, { code, error, stdout, stderr }: Outcome): Promise<void> {
    if (error !== undefined && !(error instanceof StoreError)) {
      throw new Error(`${line}: no error of ours: ${(error as Error).stack}`);
    }
    if (code !== 0 && code !== 1 && error === undefined) throw new Error(`${line}: the exit code is ${code}`);
    for (const secret of this.#secrets) {
      if (stderr.includes(secret)) throw new Error(`${line}: a secret on standard error: ${stderr}`);
      const isShown = line.startsWith("user add") && code === 0 && secret !== keyHex;
      if (!isShown && stdout.includes(secret)) throw new Error(`${line}: a secret on standard output`);
    }
    requireReadable(`${line}, standard error`, stderr);
    if (error !== undefined) this.#requireShort(line, error, stderr);
    if (line.startsWith("get ")) await this.#judgeBytes(line, code === 0, stdout);
    else judgeText(line, stdout.toString());
  }

  #requireShort(line: string, error: StoreError, stderr: string): void {
    const said = stderr.trimEnd().split("\n");
    const last = error.code === "INVALID" ? said.at(-2) : said.at(-1);
    const name = line.split(" ")[0]!;
    if (!last?.startsWith(`data-putter ${name}`)) throw new Error(`${line}: it is told in other words: ${stderr}`);
    if (stderr.length > 20_000) throw new Error(`${line}: ${stderr.length} characters are told`);
  }

  /** All of the bytes, or none that have the name. */
  async #judgeBytes(line: string, isDone: boolean, stdout: Buffer): Promise<void> {
    const right = line.includes("SMALL")
      ? this.#small.subarray(100)
      : line.includes("--offset")
        ? this.#large.subarray(1_000, 201_000)
        : this.#large;
    const names = (await readdir(this.#folder)).toSorted();
    if (!line.includes("FILE")) {
      if (isDone && !sameBytes(stdout, right)) throw new Error(`${line}: other bytes, and exit code 0`);
      if (!sameBytes(stdout, right.subarray(0, stdout.length))) throw new Error(`${line}: other bytes`);
      return;
    }
    judgeText(line, stdout.toString());
    if (isDone !== names.includes("file")) throw new Error(`${line}: it is ${isDone}, and there is ${names.join()}`);
    if (!isDone) return;
    if (names.join() !== "file") throw new Error(`${line}: beside the file there is ${names.join()}`);
    const bytes = await readFile(path.join(this.#folder, "file"));
    if (!sameBytes(bytes, right)) throw new Error(`${line}: the file has other bytes`);
  }
}

function judgeText(line: string, stdout: string): void {
  requireReadable(`${line}, standard output`, stdout);
  if (/undefined|NaN|Infinity|Invalid|\[object/.test(stdout)) throw new Error(`${line}: it says ${stdout}`);
  if (!line.includes("--json")) return;
  for (const text of stdout.split("\n")) if (text !== "") JSON.parse(text);
}

function requireReadable(what: string, text: string): void {
  // oxlint-disable-next-line no-control-regex
  const found = /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/.exec(text);
  if (found !== null) throw new Error(`${what}: control characters: ${JSON.stringify(text.slice(0, 1_000))}`);
}

function writable(take: (chunk: Buffer) => void): NodeJS.WriteStream {
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      take(Buffer.from(chunk));
      done();
    },
  });
  return stream as unknown as NodeJS.WriteStream;
}

type Asked = ReturnType<RequestClient["ask"]>;

async function partsOf(asked: Asked): Promise<Part[]> {
  const parts: Part[] = [];
  try {
    for await (const part of asked) {
      if (part.kind === "json") parts.push(part);
      else {
        const { buffer, first, count, skip, take } = part;
        const head: TicketsAnswer = { first, count, skip, take };
        const data = buffer.data.slice(0, count * ticketDataSize);
        parts.push({ kind: "tickets", ...head, data, sums: buffer.sums.slice(0, count * 8) });
        buffer.release();
      }
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    parts.push({ kind: "error", code: error.code, message: error.message });
  }
  return parts;
}
