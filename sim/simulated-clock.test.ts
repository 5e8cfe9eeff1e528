/** Virtual time, and chance from a seed. */
import { describe, expect, it } from "vitest";
import { delay } from "../src/env/host.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { SimulatedRandom } from "./simulated-random.ts";

describe("the clock", () => {
  it("calls in order of time, and of asking where the time is the same", async () => {
    const clock = new SimulatedClock();
    const called: string[] = [];
    clock.after(5, () => called.push("five"));
    clock.after(1, () => {
      called.push("one");
      clock.soon(() => called.push("soon after one"));
      clock.after(4, () => called.push("five, asked for later"));
    });
    clock.after(3, () => called.push("never")).cancel();
    clock.soon(() => called.push("first"));
    await clock.runUntilIdle();
    expect(called).toEqual(["first", "one", "soon after one", "five", "five, asked for later"]);
    expect(clock.monotonic()).toBe(5);
  });

  it("many timers come in order", async () => {
    const clock = new SimulatedClock();
    const random = new SimulatedRandom(1);
    const seen: number[] = [];
    for (let index = 0; index < 500; index++) clock.after(random.below(100), () => seen.push(clock.monotonic()));
    await clock.runUntilIdle();
    expect(seen.length).toBe(500);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it("runs a promise to its end, and says when nothing could settle it", async () => {
    const clock = new SimulatedClock();
    const chain = async (): Promise<string> => {
      await delay(clock, 10);
      await delay(clock, 20);
      return "done";
    };
    expect(await clock.run(chain())).toBe("done");
    expect(clock.monotonic()).toBe(30);
    await expect(clock.run(Promise.reject(new Error("why")))).rejects.toThrow("why");
    await expect(clock.run(new Promise(() => undefined))).rejects.toThrow("nothing is left to happen");
  });

  it("jumps without timers or monotonic noticing", async () => {
    const clock = new SimulatedClock();
    const before = clock.now();
    let called = false;
    clock.after(10, () => (called = true));
    clock.jump(-3_600_000);
    await clock.runFor(5);
    expect([called, clock.monotonic(), clock.now() - before]).toEqual([false, 5, 5 - 3_600_000]);
    await clock.runFor(5);
    expect(called).toBe(true);
  });
});

describe("chance", () => {
  it("is PCG32: the reference's first numbers for seed 42, sequence 54", () => {
    const random = new SimulatedRandom(42, 54);
    const first = Array.from({ length: 6 }, () => random.uint32().toString(16));
    expect(first).toEqual(["a15c02b7", "7b47f409", "ba1d3330", "83d2f293", "bfa4784b", "cbed606e"]);
  });

  it("is even, within bounds, and its forks differ", () => {
    const random = new SimulatedRandom(9);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let index = 0; index < 10_000; index++) counts[random.between(0, 9)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(random.fork().bytes(9)).not.toEqual(random.fork().bytes(9));
    expect(new SimulatedRandom(3).bytes(9)).toEqual(new SimulatedRandom(3).bytes(9));
  });
});
