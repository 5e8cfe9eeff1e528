/** What the search for an order accepts and what it does not. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Answer, History, type Input, type Operation } from "../world/history.ts";
import { checkFile, type FileState, stepOf } from "./linearizability.ts";

type Step = readonly [calledAt: number, returnedAt: number | undefined, input: Input, answer: Answer];

const put = (tag: number, wanted?: "absent"): Input => ({
  kind: "put",
  tag,
  wanted: wanted === undefined ? undefined : { kind: wanted },
});
const done: Answer = { kind: "done" };
const unknown: Answer = { kind: "unknown" };
const conflict: Answer = { kind: "conflict" };
const tags = (...all: number[]): Answer => ({ kind: "tags", tags: all });
const newest: Input = { kind: "newest" };
const stack: Input = { kind: "stack" };
const remove = (tag: number): Input => ({ kind: "delete", tag, wanted: undefined });

function verdict(versioning: "off" | "enabled" | "suspended", steps: readonly Step[]): string {
  const operations: Operation[] = steps.map(([calledAt, returnedAt, input, answer], id) => {
    return { id, client: "c", input, calledAt, returnedAt: returnedAt ?? Number.POSITIVE_INFINITY, answer };
  });
  return checkFile(operations, versioning, new History());
}

describe("in a bucket without versions", () => {
  it("a read sees the last write that ended, or one that is under way", () => {
    const writes: Step[] = [
      [1, 2, put(1), done],
      [3, 8, put(2), done],
    ];
    expect(verdict("off", [...writes, [4, 5, newest, tags(1)]])).toBe("linearizable");
    expect(verdict("off", [...writes, [4, 5, newest, tags(2)], [6, 7, newest, tags(2)]])).toBe("linearizable");
    expect(verdict("off", [...writes, [4, 5, newest, tags(2)], [6, 7, newest, tags(1)]])).toBe("not linearizable");
    expect(verdict("off", [...writes, [9, 10, newest, tags(1)]])).toBe("not linearizable");
    expect(verdict("off", [...writes, [9, 10, newest, tags()]])).toBe("not linearizable");
  });

  it("one of two writers that both want nothing to be there is refused", () => {
    expect(
      verdict("off", [
        [1, 4, put(1, "absent"), done],
        [2, 3, put(2, "absent"), done],
      ]),
    ).toBe("not linearizable");
    expect(
      verdict("off", [
        [1, 4, put(1, "absent"), done],
        [2, 3, put(2, "absent"), conflict],
      ]),
    ).toBe("linearizable");
    expect(verdict("off", [[1, 2, put(1, "absent"), conflict]])).toBe("not linearizable");
  });

  it("a write of unknown outcome happens at any later time, or never, but not twice", () => {
    const lost: Step = [1, undefined, put(1), unknown];
    expect(verdict("off", [lost, [2, 3, newest, tags()], [4, 5, newest, tags(1)]])).toBe("linearizable");
    expect(verdict("off", [lost, [2, 3, newest, tags()]])).toBe("linearizable");
    expect(verdict("off", [lost, [2, 3, put(2, "absent"), conflict]])).toBe("linearizable");
    const replaced: Step[] = [lost, [2, 3, newest, tags(1)], [4, 5, put(2), done]];
    expect(verdict("off", [...replaced, [6, 7, newest, tags(1)]])).toBe("not linearizable");
  });

  it("who was refused may have met a write that nobody saw, if somebody has overwritten that since", () => {
    const steps: Step[] = [
      [1, undefined, put(1), unknown],
      [2, 3, put(2, "absent"), conflict],
      [4, 5, put(3), done],
      [6, 7, stack, tags(3)],
    ];
    expect(verdict("off", steps)).toBe("linearizable");
    expect(verdict("enabled", steps)).toBe("not linearizable");
  });

  it("of two unknown deletions the one that fits was first", () => {
    const onlyTheFirst: Input = { kind: "delete", tag: 9, wanted: { kind: "tag", tag: 1 } };
    const steps: Step[] = [
      [1, 2, put(1), done],
      [3, undefined, { kind: "deleteVersion", tag: undefined }, unknown],
      [4, undefined, onlyTheFirst, unknown],
      [5, 6, newest, tags()],
      [7, 8, put(2), done],
      [9, 10, newest, tags(2)],
    ];
    expect(verdict("off", [...steps, [11, 12, newest, tags()]])).toBe("linearizable");
    expect(verdict("off", [...steps, [11, 12, newest, tags()], [13, 14, put(2, "absent"), conflict]])).toBe(
      "not linearizable",
    );
  });

  it("what was deleted does not come back", () => {
    const steps: Step[] = [
      [1, 2, put(1), done],
      [3, 4, remove(2), done],
    ];
    expect(verdict("off", [...steps, [5, 6, newest, tags()]])).toBe("linearizable");
    expect(verdict("off", [...steps, [5, 6, newest, tags(1)]])).toBe("not linearizable");
  });
});

describe("in a bucket with versions", () => {
  it("all of them stay, newest first, and a delete adds a marker", () => {
    const steps: Step[] = [
      [1, 2, put(1), done],
      [3, 4, put(2), done],
      [5, 6, remove(3), done],
    ];
    expect(verdict("enabled", [...steps, [7, 8, stack, tags(3, 2, 1)]])).toBe("linearizable");
    expect(verdict("enabled", [...steps, [7, 8, stack, tags(3, 2)]])).toBe("not linearizable");
    expect(verdict("enabled", [...steps, [7, 8, { kind: "live" }, tags()]])).toBe("linearizable");
    const removed: Step = [7, 8, { kind: "deleteVersion", tag: 3 }, tags(3)];
    expect(verdict("enabled", [...steps, removed, [9, 10, newest, tags(2)]])).toBe("linearizable");
  });

  it("a write while they are suspended replaces the null version only", () => {
    const steps: Step[] = [
      [1, 2, put(1), done],
      [3, 4, { kind: "setVersioning", versioning: "suspended" }, done],
      [5, 6, put(2), done],
      [7, 8, put(3), done],
    ];
    expect(verdict("enabled", [...steps, [9, 10, stack, tags(3, 1)]])).toBe("linearizable");
    expect(verdict("enabled", [...steps, [9, 10, stack, tags(3, 2, 1)]])).toBe("not linearizable");
  });
});

/** Tries every order, and remembers nothing. */
function isExplained(operations: readonly Operation[], state: FileState, history: History): boolean {
  const due = operations.filter(({ answer }) => answer.kind !== "unknown");
  if (due.length === 0) return true;
  const deadline = Math.min(...due.map(({ returnedAt }) => returnedAt));
  return operations.some((operation) => {
    if (operation.calledAt >= deadline) return false;
    const after = stepOf(state, operation, history);
    return (
      after !== undefined &&
      isExplained(
        operations.filter((other) => other !== operation),
        after,
        history,
      )
    );
  });
}

const someWanted = fc.constantFrom(undefined, { kind: "absent" } as const, { kind: "present" } as const);
const someTag = fc.integer({ min: 1, max: 4 });
const someInput: fc.Arbitrary<Input> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), tag: someTag, wanted: someWanted }) },
  fc.record({ kind: fc.constant("delete" as const), tag: someTag, wanted: someWanted }),
  fc.record({ kind: fc.constant("deleteVersion" as const), tag: fc.option(someTag, { nil: undefined }) }),
  fc.record({ kind: fc.constant("setVersioning" as const), versioning: fc.constantFrom("enabled", "suspended") }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("newest", "live", "stack") }) },
);
interface SomeOperation {
  readonly input: Input;
  readonly from: number;
  readonly to: number;
  readonly fate: "told" | "unknown" | "lie";
}
const someOperation: fc.Arbitrary<SomeOperation> = fc.record({
  input: someInput,
  from: fc.nat(3),
  to: fc.nat(3),
  fate: fc.constantFrom<SomeOperation["fate"][]>("told", "told", "told", "unknown", "lie"),
});

/** What really happens one after the other, each asked for a little before and answered a little after. */
function historyOf(steps: readonly SomeOperation[], versioning: "off" | "enabled"): Operation[] {
  let state: FileState = { versioning, versions: [] };
  const taken = new Set<number>();
  return steps.flatMap(({ input, from, to, fate }, index) => {
    if (input.kind === "put" || input.kind === "delete") {
      if (taken.has(input.tag)) return [];
      taken.add(input.tag);
    }
    const all = state.versions.map(({ tag }) => tag);
    const answers: Answer[] = [done, conflict, { kind: "missing" }, tags(), tags(...all), tags(...all.slice(0, 1))];
    if (input.kind === "deleteVersion") answers.unshift(...all.map((tag) => tags(tag)));
    const operation = {
      id: index,
      client: "c",
      input,
      calledAt: 10 * index - 8 * from,
      returnedAt: 10 * index + 8 * to + 1,
    };
    const answer = answers.find(
      (candidate) => stepOf(state, { ...operation, answer: candidate }, new History()) !== undefined,
    );
    if (answer === undefined) return [];
    state = stepOf(state, { ...operation, answer }, new History())!;
    if (fate === "unknown") return [{ ...operation, returnedAt: Number.POSITIVE_INFINITY, answer: unknown }];
    return [{ ...operation, answer: fate === "lie" && answer.kind === "tags" ? tags(...all.slice(1)) : answer }];
  });
}

it("finds the same as who tries every order", () => {
  const verdicts = new Map<string, number>();
  const some = fc.tuple(fc.array(someOperation, { maxLength: 8 }), fc.constantFrom("off" as const, "enabled" as const));
  fc.assert(
    fc.property(some, ([steps, versioning]) => {
      const operations = historyOf(steps, versioning);
      const useful = operations.filter(({ input, answer }) => !(isRead(input) && answer.kind === "unknown"));
      const wanted = isExplained(useful, { versioning, versions: [] }, new History());
      const found = checkFile(operations, versioning, new History());
      verdicts.set(found, (verdicts.get(found) ?? 0) + 1);
      expect(found).toBe(wanted ? "linearizable" : "not linearizable");
    }),
    { numRuns: 1_000 },
  );
  expect(verdicts.get("not linearizable")).toBeGreaterThan(25);
});

function isRead({ kind }: Input): boolean {
  return kind === "newest" || kind === "live" || kind === "stack";
}
