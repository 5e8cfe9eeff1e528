import { setImmediate } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { StoreError } from "../core/errors.ts";
import { commitProbeMs, commitRetryMaxMs, commitRetryMinMs } from "../core/limits.ts";
import { nodeClock } from "../env/node-clock.ts";
import { silentLog } from "../env/node-log.ts";
import { CommitBreaker, DiskTouch } from "./commit-breaker.ts";

let planned: { delayMs: number; call: () => void }[];
let isDiskWell: boolean;
let probeCount: number;
let touchError: Error | undefined;
let breaker: CommitBreaker;
const failure = new StoreError("UNAVAILABLE", "the datastore failed: EIO");

beforeEach(() => {
  [planned, isDiskWell, probeCount, touchError] = [[], false, 0, undefined];
  const clock = {
    ...nodeClock,
    after: (delayMs: number, call: () => void) => {
      const timer = { delayMs, call };
      planned.push(timer);
      return { cancel: () => void (planned = planned.filter((each) => each !== timer)) };
    },
  };
  const probe = async (): Promise<void> => {
    probeCount++;
    if (!isDiskWell) throw new Error("EIO");
  };
  const touch = (): void => {
    if (touchError !== undefined) throw touchError;
  };
  breaker = new CommitBreaker({ clock, log: silentLog, probe, touch });
});

/** Lets the time pass that is waited for; how long that was. */
async function pass(): Promise<number> {
  expect(planned.length).toBe(1);
  const { delayMs, call } = planned.shift()!;
  call();
  await setImmediate();
  return delayMs;
}
const isOpen = (): boolean => {
  try {
    breaker.check();
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining(failure.message) as string });
    return true;
  }
};

describe("after a commit that the disk refused", () => {
  test("none is tried until the disk has taken a file of its own, which is looked at now and then", async () => {
    expect(isOpen()).toBe(false);
    breaker.failed(failure);
    expect(isOpen()).toBe(true);
    expect(await pass()).toBe(commitRetryMinMs);
    for (let round = 0; round < 10; round++) {
      expect(isOpen()).toBe(true);
      expect(await pass()).toBe(commitProbeMs);
    }
    isDiskWell = true;
    expect(isOpen()).toBe(true);
    await pass();
    expect([isOpen(), probeCount, planned.length]).toEqual([false, 12, 0]);
    breaker.worked();
    expect(isOpen()).toBe(false);
  });

  test("one is let through when that works; while they fail, each only after twice the time, up to a limit", async () => {
    isDiskWell = true;
    const delays: number[] = [];
    for (let round = 0; round < 8; round++) {
      breaker.failed(failure);
      delays.push(await pass());
      expect(isOpen()).toBe(false);
    }
    expect(delays).toEqual(
      [1, 2, 4, 8, 16, 32, 64, 128].map((times) => Math.min(times * commitRetryMinMs, commitRetryMaxMs)),
    );
    breaker.worked();
    breaker.failed(failure);
    expect(await pass()).toBe(commitRetryMinMs);
  });

  test("a full disk is not asked for room that only deleting makes: one commit is tried every second", async () => {
    for (let round = 0; round < 5; round++) {
      breaker.failed(new StoreError("NO_SPACE", failure.message));
      expect(() => breaker.check()).toThrow(expect.objectContaining({ code: "NO_SPACE" }));
      expect(await pass()).toBe(commitRetryMinMs);
      breaker.check();
    }
    expect(probeCount).toBe(0);
  });

  test("the first one is not tried either where the disk takes no byte, as one that has become read-only", async () => {
    touchError = new Error("EROFS");
    expect(() => breaker.check()).toThrow(
      expect.objectContaining({ code: "UNAVAILABLE", message: expect.stringContaining("EROFS") as string }),
    );
    expect(await pass()).toBe(commitRetryMinMs);
    touchError = undefined;
    expect(() => breaker.check()).toThrow("EROFS");
    isDiskWell = true;
    await pass();
    breaker.check();
  });

  test("closing ends the waiting", async () => {
    breaker.failed(failure);
    breaker.close();
    expect(planned).toEqual([]);
    breaker.failed(failure);
    expect(planned).toEqual([]);
  });
});

describe("touching the disk", () => {
  test("writes a byte each time, into a file that stays small; a full disk is no reason to refuse", () => {
    let size = 0;
    let opened = 0;
    let error: Error | undefined;
    const touch = new DiskTouch(() => {
      opened++;
      size = 0;
      const append = (bytes: Uint8Array): void => {
        if (error !== undefined) throw error;
        size += bytes.length;
      };
      return {
        get size() {
          return size;
        },
        append,
        sync: async () => undefined,
        close: () => undefined,
      };
    }, "touch");
    for (let count = 0; count < 10_000; count++) {
      touch.touch();
      expect(size).toBeLessThanOrEqual(4_096);
    }
    expect(opened).toBe(3);
    for (const code of ["ENOSPC", "EDQUOT", "EMFILE"]) {
      error = Object.assign(new Error(code), { code });
      touch.touch();
    }
    error = Object.assign(new Error("read-only"), { code: "EROFS" });
    expect(() => touch.touch()).toThrow("read-only");
    touch.close();
  });
});
