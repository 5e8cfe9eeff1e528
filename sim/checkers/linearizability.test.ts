/** What the search for an order accepts and what it does not. */
import { describe, expect, it } from "vitest";
import { type Answer, History, type Input, type Operation } from "../world/history.ts";
import { checkFile } from "./linearizability.ts";

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
