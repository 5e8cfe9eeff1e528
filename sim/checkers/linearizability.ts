/**
 * Whether what clients were told of one file can have happened one after the other, each step at some moment between
 * question and answer. The search is Wing and Gong's with Lowe's memory of what was tried ("Testing for Linearizability",
 * 2016): operations are put in order from the front, and a set of done operations with the state it led to is not looked
 * at twice.
 *
 * A write of unknown outcome may happen at any time after it was asked for, or never. One whose tag somebody saw did
 * happen before that; the others are left out at first, and taken in only if no order is found without them.
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
  const useful = operations.filter(constrains);
  const known: Operation[] = [];
  const open: Operation[] = [];
  for (const operation of useful) {
    if (operation.answer.kind !== "unknown") known.push(operation);
    else {
      const tag = "tag" in operation.input ? operation.input.tag : undefined;
      const sightedAt = operation.input.kind === "deleteVersion" || tag === undefined ? undefined : seen.get(tag);
      if (sightedAt === undefined) open.push(operation);
      else known.push({ ...operation, returnedAt: sightedAt });
    }
  }
  const start: FileState = { versioning, versions: [] };
  const first = search(known, start, history);
  if (first !== "not linearizable" || open.length === 0) return first;
  return search([...known, ...open], start, history);
}

/** Reads without an answer, and writes that were refused for something else than their condition, say nothing. */
function constrains({ input, answer }: Operation): boolean {
  const isRead = input.kind === "newest" || input.kind === "live" || input.kind === "stack";
  if (isRead || answer.kind === "tags") return answer.kind === "tags";
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

function search(operations: readonly Operation[], start: FileState, history: History): Verdict {
  const sorted = [...operations].sort((one, other) => one.calledAt - other.calledAt);
  const random = new SimulatedRandom(1);
  const marks = sorted.map(() => [random.uint32(), random.uint32()] as const);
  const done = sorted.map(() => false);
  const tried = new Set<string>();
  const stack: { index: number; before: FileState }[] = [];
  let left = sorted.filter(({ returnedAt }) => returnedAt < Number.POSITIVE_INFINITY).length;
  let state = start;
  let [high, low] = [0, 0];
  let from = 0;
  for (let steps = 0; ; steps++) {
    if (left === 0) return "linearizable";
    if (steps > stepsMax) return "undecided";
    // Whatever is asked after the first answer that is still to come cannot be before it.
    let deadline = Number.POSITIVE_INFINITY;
    for (const [index, { calledAt, returnedAt }] of sorted.entries()) {
      if (calledAt > deadline) break;
      if (!done[index] && returnedAt < deadline) deadline = returnedAt;
    }
    let next: FileState | undefined;
    let index = from;
    for (; index < sorted.length && sorted[index]!.calledAt < deadline; index++) {
      if (done[index]) continue;
      next = stepOf(state, sorted[index]!, history);
      if (next === undefined) continue;
      const mark = `${high ^ marks[index]![0]} ${low ^ marks[index]![1]} ${keyOf(next)}`;
      if (!tried.has(mark)) {
        tried.add(mark);
        break;
      }
      next = undefined;
    }
    if (next === undefined) {
      const last = stack.pop();
      if (last === undefined) return "not linearizable";
      state = last.before;
      done[last.index] = false;
      high ^= marks[last.index]![0];
      low ^= marks[last.index]![1];
      if (sorted[last.index]!.returnedAt < Number.POSITIVE_INFINITY) left++;
      from = last.index + 1;
      continue;
    }
    stack.push({ index, before: state });
    state = next;
    done[index] = true;
    high ^= marks[index]![0];
    low ^= marks[index]![1];
    if (sorted[index]!.returnedAt < Number.POSITIVE_INFINITY) left--;
    from = 0;
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
