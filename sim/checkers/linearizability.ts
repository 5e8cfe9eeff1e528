/**
 * Whether what clients were told of one file can have happened one after the other, each step at some moment between
 * question and answer. The search is Wing and Gong's with Lowe's memory of what was tried ("Testing for Linearizability",
 * 2016): operations are put in order from the front, and a set of done operations with the state it led to is not looked
 * at twice.
 *
 * A write of unknown outcome may happen at any time after it was asked for, or never. One whose tag somebody saw did
 * happen before that; the others are optional. They are tried after those that must happen, and what the memory holds is
 * compared by them: who comes to the same state with the same operations done and has used fewer optional ones can go on
 * in every way that the other one can. Without that each of them would double what there is to try.
 */
import type { Versioning } from "../../src/datastore/datastore.ts";
import type { History, Operation, Wanted } from "../world/history.ts";
import { SimulatedRandom } from "../simulated-random.ts";

interface Version {
  readonly tag: number;
  readonly isNull: boolean;
  readonly isMarker: boolean;
}

/** What a file is, as the contract says it: its versions, newest first. */
export interface FileState {
  readonly versioning: Versioning;
  readonly versions: readonly Version[];
}

export type Verdict = "linearizable" | "not linearizable" | "undecided";

/** Steps after which a search is given up. */
const stepsMax = 300_000;

export function checkFile(operations: readonly Operation[], versioning: Versioning, history: History): Verdict {
  const seen = firstSightings(operations);
  const known: Operation[] = [];
  const optional: Operation[] = [];
  for (const operation of operations.filter(constrains)) {
    if (operation.answer.kind !== "unknown") known.push(operation);
    else {
      const tag = "tag" in operation.input ? operation.input.tag : undefined;
      const sightedAt = operation.input.kind === "deleteVersion" || tag === undefined ? undefined : seen.get(tag);
      if (sightedAt === undefined) optional.push(operation);
      else known.push({ ...operation, returnedAt: sightedAt });
    }
  }
  return new Search(known, optional, { versioning, versions: [] }, history).run();
}

/**
 * Reads without an answer, and writes that were refused for something else than their condition, say nothing. What a
 * refused commit would have written must not be seen: it is none of the operations that can happen.
 */
function constrains({ input, answer }: Operation): boolean {
  const isRead = input.kind === "newest" || input.kind === "live" || input.kind === "stack";
  if (isRead || answer.kind === "tags") return answer.kind === "tags";
  if (answer.kind === "refused") return false;
  if (answer.kind === "conflict" || answer.kind === "missing") return "wanted" in input && input.wanted !== undefined;
  return true;
}

function firstSightings(operations: readonly Operation[]): Map<number, number> {
  const seen = new Map<number, number>();
  for (const { answer, returnedAt } of operations) {
    if (answer.kind !== "tags") continue;
    for (const tag of answer.tags) seen.set(tag, Math.min(seen.get(tag) ?? Number.POSITIVE_INFINITY, returnedAt));
  }
  return seen;
}

interface Step {
  /** Of the known operations first, then of the optional ones. */
  readonly index: number;
  readonly before: FileState;
}

class Search {
  readonly #operations: readonly Operation[];
  readonly #knownCount: number;
  readonly #history: History;
  readonly #done: boolean[];
  /** Of each known operation, random: which of them are done is known by all their marks together. */
  readonly #marks: readonly (readonly [number, number])[];
  /** State and known operations that are done → sets of optional ones that were used to come there. */
  readonly #tried = new Map<string, bigint[]>();
  readonly #path: Step[] = [];
  /** Tags that somebody asks to be deleted for good. */
  readonly #removable: ReadonlySet<number | undefined>;
  /** Reads of all versions that are still to come. */
  #stacksLeft: number;
  #state: FileState;
  #left: number;
  #high = 0;
  #low = 0;
  #used = 0n;

  constructor(known: readonly Operation[], optional: readonly Operation[], start: FileState, history: History) {
    const inOrder = (operations: readonly Operation[]): Operation[] =>
      [...operations].sort((one, other) => one.calledAt - other.calledAt);
    this.#operations = [...inOrder(known), ...inOrder(optional)];
    this.#knownCount = known.length;
    this.#left = known.length;
    this.#stacksLeft = known.filter(({ input }) => input.kind === "stack").length;
    const removals = this.#operations.map(({ input }) => (input.kind === "deleteVersion" ? input.tag : undefined));
    this.#removable = new Set(removals);
    this.#history = history;
    this.#state = start;
    const random = new SimulatedRandom(1);
    this.#marks = known.map(() => [random.uint32(), random.uint32()] as const);
    this.#done = this.#operations.map(() => false);
  }

  run(): Verdict {
    let from = 0;
    for (let steps = 0; this.#left > 0; steps++) {
      if (steps > stepsMax) return "undecided";
      const next = this.#next(from);
      if (next !== undefined) {
        this.#path.push({ index: next.index, before: this.#state });
        this.#toggle(next.index);
        this.#state = next.after;
        from = 0;
        continue;
      }
      const last = this.#path.pop();
      if (last === undefined) return "not linearizable";
      this.#toggle(last.index);
      this.#state = last.before;
      from = last.index + 1;
    }
    return "linearizable";
  }

  /** The first operation from `from` on that can happen now and leads to where nobody was. */
  #next(from: number): { index: number; after: FileState } | undefined {
    const deadline = this.#deadline();
    for (let index = from; index < this.#operations.length; index++) {
      const operation = this.#operations[index]!;
      if (operation.calledAt >= deadline) {
        if (index >= this.#knownCount) break;
        // The rest of the known ones were asked for later still.
        index = this.#knownCount - 1;
        continue;
      }
      if (this.#done[index]) continue;
      const after = stepOf(this.#state, operation, this.#history);
      if (after === undefined || this.#isHopeless(operation, index, after)) continue;
      if (this.#isNew(index, after)) return { index, after };
    }
    return undefined;
  }

  /**
   * An optional write adds a version that nobody saw: one that only its deletion takes away again, which nobody asks for,
   * would have been seen by whoever read all of them later.
   */
  #isHopeless({ input }: Operation, index: number, after: FileState): boolean {
    if (index < this.#knownCount || !(input.kind === "put" || input.kind === "delete")) return false;
    if (this.#stacksLeft === 0 || this.#removable.has(input.tag)) return false;
    return after.versions.some(({ tag, isNull }) => tag === input.tag && !isNull);
  }

  /** Whatever is asked after the first answer that is still to come cannot be before it. */
  #deadline(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#knownCount; index++) {
      const { calledAt, returnedAt } = this.#operations[index]!;
      if (calledAt > deadline) break;
      if (!this.#done[index] && returnedAt < deadline) deadline = returnedAt;
    }
    return deadline;
  }

  #isNew(index: number, after: FileState): boolean {
    const [high, low] = this.#marks[index] ?? [0, 0];
    const used = this.#used | this.#bit(index);
    const place = `${this.#high ^ high} ${this.#low ^ low} ${keyOf(after)}`;
    const tried = this.#tried.get(place) ?? [];
    if (tried.some((fewer) => (fewer & used) === fewer)) return false;
    this.#tried.set(place, [...tried.filter((more) => (more & used) !== used), used]);
    return true;
  }

  /** Done, or not done after all. */
  #toggle(index: number): void {
    const isDone = !this.#done[index];
    this.#done[index] = isDone;
    this.#used ^= this.#bit(index);
    if (index >= this.#knownCount) return;
    const [high, low] = this.#marks[index]!;
    this.#high ^= high;
    this.#low ^= low;
    this.#left += isDone ? -1 : 1;
    if (this.#operations[index]!.input.kind === "stack") this.#stacksLeft += isDone ? -1 : 1;
  }

  #bit(index: number): bigint {
    return index < this.#knownCount ? 0n : 1n << BigInt(index - this.#knownCount);
  }
}

function keyOf({ versioning, versions }: FileState): string {
  return versioning + versions.map(({ tag, isNull }) => (isNull ? `,${tag}n` : `,${tag}`)).join("");
}

/** What the operation makes of a file; undefined where it would not have been answered as it was. */
export function stepOf(state: FileState, { input, answer }: Operation, history: History): FileState | undefined {
  const newest = state.versions[0];
  const current = newest === undefined || newest.isMarker ? undefined : newest;
  switch (input.kind) {
    case "newest":
      return sameTags(answer, newest === undefined ? [] : [newest.tag]) ? state : undefined;
    case "live":
      return sameTags(answer, current === undefined ? [] : [current.tag]) ? state : undefined;
    case "stack":
      return sameTags(
        answer,
        state.versions.map(({ tag }) => tag),
      )
        ? state
        : undefined;
    case "setVersioning":
      return { ...state, versioning: input.versioning };
    case "deleteVersion": {
      const found = state.versions.find(({ tag, isNull }) => (input.tag === undefined ? isNull : tag === input.tag));
      if (answer.kind === "tags" && !sameTags(answer, found === undefined ? [] : [found.tag])) return undefined;
      return { ...state, versions: state.versions.filter((version) => version !== found) };
    }
    case "put":
    case "delete":
    default:
      return afterWrite(state, input, answer, refusalOf(input.wanted, current, history));
  }
}

function afterWrite(
  state: FileState,
  input: Extract<Operation["input"], { kind: "put" | "delete" }>,
  answer: Operation["answer"],
  refusal: "conflict" | "missing" | undefined,
): FileState | undefined {
  if (refusal !== undefined) return answer.kind === refusal || answer.kind === "unknown" ? state : undefined;
  if (answer.kind !== "done" && answer.kind !== "unknown") return undefined;
  return withVersion(state, input.tag, input.kind === "delete");
}

function refusalOf(
  wanted: Wanted | undefined,
  current: Version | undefined,
  history: History,
): "conflict" | "missing" | undefined {
  if (wanted === undefined) return undefined;
  if (wanted.kind === "absent") return current === undefined ? undefined : "conflict";
  if (current === undefined) return "missing";
  if (wanted.kind === "tag") return wanted.tag === current.tag ? undefined : "conflict";
  if (wanted.kind !== "object") return undefined;
  return history.objectOfTag.get(current.tag) === wanted.object ? undefined : "conflict";
}

function withVersion({ versioning, versions }: FileState, tag: number, isMarker: boolean): FileState {
  if (versioning === "enabled") return { versioning, versions: [{ tag, isNull: false, isMarker }, ...versions] };
  const others = versions.filter(({ isNull }) => !isNull);
  if (versioning === "off" && isMarker) return { versioning, versions: others };
  return { versioning, versions: [{ tag, isNull: true, isMarker }, ...others] };
}

function sameTags(answer: Operation["answer"], tags: readonly number[]): boolean {
  return (
    answer.kind === "tags" && answer.tags.length === tags.length && tags.every((tag, at) => answer.tags[at] === tag)
  );
}
