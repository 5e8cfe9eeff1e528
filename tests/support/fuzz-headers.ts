/**
 * Every file below --root, changed one at a time: start-up works and reads are right or errors of ours, or it is refused with
 * the file, the rule and the runbook. Nothing outside the directory is touched.
 *
 * Cases are plain JSON, so that those that were found are kept in tests/regressions/headers.json.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface, type Interface } from "node:readline";
import fc from "fast-check";
import { nodeHost } from "../../src/env/node-host.ts";
import { keyOfDirectory } from "../../src/env/node-key-file.ts";
import { silentLog } from "../../src/env/node-log.ts";
import { markerName } from "../../src/volume/data-directory.ts";
import { byteChange, type ByteChange, changed, within } from "./fuzz-run.ts";
import { projectRoot } from "./program.ts";
import { Belongings, eventually, patternOf } from "./store.ts";

/** What becomes of a file. */
export type FileChange =
  | { readonly how: "bytes"; readonly changes: readonly ByteChange[] }
  /** In its first bytes: where headers are. */
  | { readonly how: "head"; readonly at: number; readonly value: number }
  | { readonly how: "text"; readonly text: string }
  | { readonly how: "gone" }
  | { readonly how: "empty" }
  | { readonly how: "directory" }
  /** A symbolic link to itself. */
  | { readonly how: "loop" }
  /** A pipe that nobody reads or writes. */
  | { readonly how: "fifo" }
  | { readonly how: "longer"; readonly size: number };

export interface HeaderCase {
  /** Which kind of file; of several, the newest. */
  readonly file: FileKind;
  readonly change: FileChange;
}

/** In the order in which they are tried for a name. */
const kinds = {
  marker: /^data-putter\.json$/,
  key: /^key$/,
  lock: /^lock$/,
  objects: /^obj$/,
  sums: /^sum$/,
  datastore: /^datastore\/data\.mdb$/,
  "datastore's lock": /^datastore\/lock\.mdb$/,
  touch: /^datastore\/touch$/,
  snapshot: /^snapshots\/.*Z-\d+\.mdb$/,
  description: /^snapshots\/.*\.json$/,
  journal: /^snapshots\/journal-\d+$/,
  "oldest journal": /^snapshots\/journal-0*1$/,
  /** Not there; a file of this name says that the datastore was put back by hand. */
  restored: /^datastore\/restored$/,
} as const;
export type FileKind = keyof typeof kinds;
export const fileKinds = Object.keys(kinds) as FileKind[];

interface Expected {
  readonly key: string;
  readonly sha256: string;
}
interface Told {
  readonly name?: string;
  readonly code?: string;
  readonly message: string;
  readonly stack?: string;
}
interface Said {
  readonly refused?: Told;
  readonly right: number;
  readonly errors: readonly Told[];
  readonly wrong: readonly string[];
  readonly logged: readonly string[];
}

const lookMsMax = 15_000;
const outside = "must stay as it is";

export class HeaderTarget {
  readonly #home: string;
  readonly #pristine: string;
  readonly #expected: readonly Expected[];
  #child: ChildProcess | undefined;
  #lines: Interface | undefined;
  /** How they came out, for those who ask. */
  readonly seen = { refused: 0, worked: 0, errors: 0, ended: 0 };

  private constructor(home: string, pristine: string, expected: readonly Expected[]) {
    this.#home = home;
    this.#pristine = pristine;
    this.#expected = expected;
  }

  static async open(belongings: Belongings): Promise<HeaderTarget> {
    const home = await mkdtemp(path.join(tmpdir(), "headers-"));
    belongings.add(() => rm(home, { recursive: true, force: true, maxRetries: 5 }));
    const pristine = path.join(home, "pristine");
    const expected = await makeStore(pristine);
    await writeFile(path.join(home, "outside"), outside);
    const target = new HeaderTarget(home, pristine, expected);
    belongings.add(() => target.#end());
    return target;
  }

  async check({ file, change }: HeaderCase): Promise<void> {
    const root = path.join(this.#home, "root");
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
    await cp(this.#pristine, root, { recursive: true });
    const names = (await readdir(root, { recursive: true })).filter((name) => kinds[file].test(name)).toSorted();
    const name = names.at(-1) ?? (file === "restored" ? "datastore/restored" : file === "lock" ? "lock" : undefined);
    if (name === undefined) throw new Error(`there is no ${file}`);
    const isSame = await apply(path.join(root, name), change);
    const said = await this.#look(root);
    if (said === undefined) {
      this.seen.ended++;
      throw new Error(`${name}: it ended the process`);
    }
    this.#judge(name, root, said, isSame);
    if ((await readFile(path.join(this.#home, "outside"), "utf8")) !== outside) throw new Error("outside was changed");
    const beside = (await readdir(this.#home)).toSorted().join();
    if (beside !== "outside,pristine,root") throw new Error(`beside the directory there is ${beside}`);
  }

  #judge(name: string, root: string, { refused, right, errors, wrong }: Said, isSame: boolean): void {
    const [all, first] = [this.#expected.length, wrong[0]];
    if (first !== undefined) throw new Error(`${name}: ${first}`);
    for (const error of refused === undefined ? errors : [refused]) this.#judgeError(name, root, error);
    if (isSame && (refused !== undefined || right !== all))
      throw new Error(`${name} was not changed, and ${refused?.message}`);
    if (refused !== undefined) {
      this.seen.refused++;
      const isNamed =
        refused.message.includes(path.join(root, name)) ||
        refused.message.includes(path.join(root, name.split("/")[0]!));
      const isRecord = /record .*restore-the-datastore\.md/.test(refused.message);
      // Under another key no secret of the datastore opens: that is what is seen first.
      const isKey = name === "key" && /does not open|another key/.test(refused.message);
      if (!isNamed && !isKey && !isRecord && !refused.message.includes(root))
        throw new Error(`${name} is not named: ${refused.message}`);
      if (name.startsWith("datastore/data.mdb") && !/restore-the-datastore\.md|format/.test(refused.message)) {
        throw new Error(`no runbook is named: ${refused.message}`);
      }
    } else if (errors.length > 0) this.seen.errors++;
    else this.seen.worked++;
  }

  #judgeError(name: string, _root: string, { name: kind, message, stack }: Told): void {
    if (kind !== "StoreError") throw new Error(`${name}: no error of ours: ${stack ?? message}`);
    // eslint-disable-next-line no-control-regex
    if (/[\0-\x08\x0b-\x1f]/.test(message)) throw new Error(`${name}: control characters: ${JSON.stringify(message)}`);
  }

  /** undefined where it ended the process. */
  async #look(root: string): Promise<Said | undefined> {
    const child = (this.#child ??= this.#start());
    const over = new AbortController();
    const line = once(this.#lines!, "line", { signal: over.signal }) as Promise<[string]>;
    const ended = once(child, "exit", { signal: over.signal }).then(() => undefined);
    for (const one of [line, ended]) one.catch(() => undefined);
    child.stdin!.write(`${JSON.stringify({ root, expected: this.#expected })}\n`);
    const said = await within(lookMsMax, "a start", Promise.race([line, ended])).catch(async (error: unknown) => {
      await this.#end();
      throw error;
    });
    over.abort();
    if (said === undefined) {
      this.#child = undefined;
      return undefined;
    }
    return JSON.parse(said[0]) as Said;
  }

  #start(): ChildProcess {
    const script = path.join(projectRoot, "tests", "support", "fuzz-header-child.mjs");
    const child = spawn(process.execPath, [script, path.join(projectRoot, "dist")], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined);
    child.stderr.resume();
    this.#lines = createInterface(child.stdout);
    return child;
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
}

/** True where the file is what it was. */
async function apply(file: string, change: FileChange): Promise<boolean> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  if (change.how === "gone" || isOther(change)) {
    await rm(file, { force: true });
    if (change.how === "directory") await mkdir(file);
    else if (change.how === "loop") await symlink(path.basename(file), file);
    else if (change.how === "fifo") execFileSync("mkfifo", [file]);
    return false;
  }
  const next = changedFile(bytes, change);
  await writeFile(file, next);
  return next.equals(bytes) && bytes.length > 0;
}

type OtherKind = Extract<FileChange, { how: "directory" | "loop" | "fifo" }>;

/** Something else than a file. */
function isOther(change: FileChange): change is OtherKind {
  return change.how === "directory" || change.how === "loop" || change.how === "fifo";
}

function changedFile(bytes: Buffer, change: FileChange): Buffer {
  if (change.how === "bytes") return changed(bytes, change.changes);
  if (change.how === "text") return Buffer.from(change.text, "latin1");
  if (change.how === "longer") return Buffer.concat([bytes, Buffer.alloc(change.size)]);
  if (change.how !== "head") return Buffer.alloc(0);
  const next = Buffer.from(bytes);
  if (next.length > 0) next[change.at % next.length] = change.value;
  return next;
}

/** A store with objects, snapshots and journals, made by the sources as they are. */
async function makeStore(root: string): Promise<Expected[]> {
  const host = nodeHost(silentLog);
  const { key } = await keyOfDirectory(root, undefined, markerName, host.random);
  const expected: Expected[] = [];
  for (const round of [0, 1, 2]) {
    const belongings = new Belongings();
    const snapshots = { intervalMs: 100, keptMax: 5 };
    const { router } = await belongings.router({ root, key, snapshots, arena: { tiny: 4, block: 8, group: 1 } });
    if (round === 0) await router.datastore.createBucket("bucket", {}, 1);
    for (const size of [0, 700, 9_000]) {
      const name = `key ${round} ${size}`;
      const bytes = patternOf(size, round);
      await router.put(bytes, { kind: "file", bucket: "bucket", key: name, attributes: {} }, {});
      expected.push({ key: name, sha256: createHash("sha256").update(bytes).digest("hex") });
    }
    // The last commits are in a journal alone.
    if (round < 2) {
      await eventually(async () => ((await router.datastore.snapshots?.())?.count ?? 0) > round, 20);
    }
    await belongings.giveBack();
  }
  return expected;
}

// ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const texts = [
  "",
  "\n",
  "{}",
  "[]",
  "null",
  "5",
  '"x"',
  '{"format":1}',
  '{"format":1,"depth":2,"id":"0123456789abcdef"}',
  '{"format":2,"depth":2,"id":"0123456789abcdef"}',
  '{"format":"1","depth":2,"id":null}',
  '{"format":1,"commit":-1,"takenAt":1e999,"size":-5,"records":null,"sha256":"x"}',
  '{"__proto__":{"format":1}}',
  "000102030405060708090a0b0c0d0e0f\n",
  "\xff\xfe\0\0",
  "x".repeat(5_000),
  "[".repeat(4_000),
  "\x1b[31m",
  "DPJOURN1",
  "DPJG",
];

export const fileChange: fc.Arbitrary<FileChange> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ how: fc.constant("head" as const), at: fc.nat(200), value: fc.nat(255) }) },
  { weight: 2, arbitrary: fc.record({ how: fc.constant("head" as const), at: fc.nat(8_300), value: fc.nat(255) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      how: fc.constant("bytes" as const),
      changes: fc.array(byteChange, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom(...texts).map((text) => ({ how: "text" as const, text })) },
  fc.constantFrom<FileChange>(
    { how: "gone" },
    { how: "empty" },
    { how: "directory" },
    { how: "loop" },
    { how: "fifo" },
  ),
  fc.constantFrom(1, 4_096, 100_000).map((size) => ({ how: "longer" as const, size })),
);

export const headerCase: fc.Arbitrary<HeaderCase> = fc.record({
  file: fc.constantFrom(...fileKinds),
  change: fileChange,
});
