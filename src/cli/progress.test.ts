import { describe, expect, it } from "vitest";
import { formatCount, formatDuration, formatLatency, formatSize, plural } from "./format.ts";
import { Latencies } from "./latencies.ts";
import { barLine, plainLine, Progress, type ProgressOptions } from "./progress.ts";

function progress(isTTY: boolean, options: Partial<ProgressOptions> = {}) {
  const clock = { now: 0 };
  const written: string[] = [];
  const screen = { isTTY, columns: 100, write: (text: string) => written.push(text) };
  const bar = new Progress({
    label: "a.iso",
    total: 10_000_000,
    unit: "bytes",
    screen,
    now: () => clock.now,
    ...options,
  });
  return { bar, clock, written };
}

describe("a progress bar", () => {
  it("says nothing of what takes less than a second", () => {
    for (const isTTY of [true, false]) {
      const { bar, clock, written } = progress(isTTY);
      for (; clock.now < 990; clock.now += 10) bar.advance(clock.now * 10_000);
      bar.end();
      expect(written).toEqual([]);
    }
  });

  it("redraws one line of a terminal, not more than ten times a second, and leaves one that says how long it took", () => {
    const { bar, clock, written } = progress(true);
    for (clock.now = 0; clock.now <= 2000; clock.now += 10) bar.advance(clock.now * 5000);
    bar.end();
    expect(written.length).toBeLessThanOrEqual(13);
    expect(written[0]).toBe(
      "\ra.iso  [############............]   50%  5.00 MB of 10.0 MB  5.00 MB/s  1.0 s left\x1b[K",
    );
    expect(written.at(-2)).toBe("\r\x1b[K");
    expect(written.at(-1)).toBe("a.iso: 10.0 MB in 2.0 s, 4.98 MB/s\n");
  });

  it("takes a terminal that does not know its width for one of 80 columns", () => {
    const written: string[] = [];
    const screen = { isTTY: true, columns: 0, write: (text: string) => written.push(text) };
    const { bar, clock } = progress(true, { screen, label: "a label of so many characters that a bar has no room" });
    clock.now = 1000;
    bar.advance(1_000_000);
    const [drawn] = written;
    expect(drawn).toMatch(/^\ra label of so many characters that a bar has no room   10%  1\.00 MB  1\.00 MB\/s /);
    expect(drawn).toHaveLength("\r".length + 79 + "\x1b[K".length);
  });

  it("is plain lines, one every five seconds, where there is no terminal", () => {
    const { bar, clock, written } = progress(false);
    for (clock.now = 0; clock.now <= 10_000; clock.now += 100) bar.advance(clock.now * 1000);
    expect(written).toEqual([
      "a.iso: 10%, 1.00 MB of 10.0 MB, 1.00 MB/s, 9.0 s left\n",
      "a.iso: 60%, 6.00 MB of 10.0 MB, 1.00 MB/s, 4.0 s left\n",
    ]);
  });

  it("counts what was there before for the share, not for the rate", () => {
    const { bar, clock, written } = progress(false, { start: 5_000_000 });
    clock.now = 1000;
    bar.advance(6_000_000);
    bar.end();
    expect(written[0]).toBe("a.iso: 60%, 6.00 MB of 10.0 MB, 1.00 MB/s, 4.0 s left\n");
    expect(written[1]).toBe("a.iso: 1.00 MB in 1.0 s, 1.00 MB/s\n");
  });

  it("goes without share and time left where the end is not known", () => {
    const state = { label: "-", unit: "tickets", done: 1234, total: undefined, rate: 10 } as const;
    expect(plainLine(state)).toBe("-: 1,234 tickets, 10 tickets/s");
    expect(barLine(state, 80)).toBe("-  1,234 tickets  10 tickets/s");
  });

  it("says stalled, not for ever", () => {
    expect(plainLine({ label: "a", unit: "bytes", done: 1, total: 2, rate: 0 })).toBe(
      "a: 50%, 1 B of 2 B, 0 B/s, stalled",
    );
  });

  it("leaves out the bar, then the total, on a narrow terminal, and is never wider", () => {
    const state = { label: "a.iso", unit: "bytes", done: 5e8, total: 1e9, rate: 1e8 } as const;
    expect(barLine(state, 60)).toBe("a.iso   50%  500 MB of 1.00 GB  100 MB/s  5.0 s left");
    expect(barLine(state, 45)).toBe("a.iso   50%  500 MB  100 MB/s  5.0 s left");
    expect(barLine(state, 10)).toHaveLength(10);
  });
});

describe("numbers", () => {
  it("of bytes", () => {
    const texts = [0, 1458, 9999, 10_000, 999_499, 999_500, 1_458_000, 99_960_000, 2e18].map(formatSize);
    expect(texts).toEqual(["0 B", "1458 B", "9999 B", "10.0 kB", "999 kB", "1.00 MB", "1.46 MB", "100 MB", "2000 PB"]);
  });

  it("of things", () => {
    expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(["0", "999", "1,000", "1,234,567"]);
    expect([plural(1, "ticket"), plural(2, "ticket")]).toEqual(["1 ticket", "2 tickets"]);
  });

  it("of time", () => {
    const texts = [0, 9_900, 9_960, 59_400, 59_600, 125_000, 3_725_000].map(formatDuration);
    expect(texts).toEqual(["0.0 s", "9.9 s", "10 s", "59 s", "1:00", "2:05", "1:02:05"]);
    expect([0.123, 1.25, 12.5, 1250].map(formatLatency)).toEqual(["0.12 ms", "1.3 ms", "13 ms", "1.3 s"]);
  });
});

describe("latencies", () => {
  it("percentiles are right to four percent", () => {
    const latencies = new Latencies();
    for (let value = 1; value <= 1000; value++) latencies.add(value);
    for (const [share, exact] of [
      [0.5, 500],
      [0.99, 990],
      [1, 1000],
    ] as const) {
      expect(Math.abs(latencies.percentile(share) / exact - 1)).toBeLessThan(0.04);
    }
  });

  it("of none are nothing, and the largest and smallest have a place", () => {
    expect(new Latencies().percentile(0.5)).toBe(0);
    const latencies = new Latencies();
    latencies.add(0);
    latencies.add(1e9);
    expect(latencies.percentile(0.5)).toBeLessThan(0.02);
    expect(latencies.percentile(1)).toBeGreaterThan(60_000);
  });
});
