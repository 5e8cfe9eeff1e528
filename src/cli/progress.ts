/**
 * How far something has come: a bar with rate and time left on a terminal, plain lines where the output is piped. All of
 * it on standard error, and only where it takes longer than a second.
 */
import { formatCount, formatDuration, formatSize } from "./format.ts";

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly label: string;
  /** undefined where the end is not known. */
  readonly total: number | undefined;
  readonly unit: "bytes" | "tickets";
  /** What was done before: counts for the bar, not for the rate. */
  readonly start?: number;
  /** Said after the rate, made from it. */
  readonly extra?: (rate: number) => string;
  readonly screen: Screen;
  /** Milliseconds, never backwards. */
  readonly now: () => number;
}

export interface ProgressState {
  readonly label: string;
  readonly unit: "bytes" | "tickets";
  readonly done: number;
  readonly total: number | undefined;
  /** Per second. */
  readonly rate: number;
  readonly extra?: string;
}

const quietMs = 1_000;
const redrawMs = 100;
const lineMs = 5_000;
/** The rate is that of the last few seconds. */
const rateWindowMs = 5_000;
const barSize = 24;

export class Progress {
  readonly #options: ProgressOptions;
  readonly #startedAt: number;
  #drawnAt: number | undefined;
  #done: number;
  /** Points of the rate's window, oldest first. */
  #points: { at: number; done: number }[];

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#done = options.start ?? 0;
    this.#points = [{ at: this.#startedAt, done: this.#done }];
  }

  /** `done` of all, not since the last time. Cheap: may be called for every piece. */
  advance(done: number): void {
    this.#done = done;
    const now = this.#options.now();
    if (now - this.#startedAt < quietMs) return;
    const everyMs = this.#options.screen.isTTY === true ? redrawMs : lineMs;
    if (this.#drawnAt !== undefined && now - this.#drawnAt < everyMs) return;
    this.#drawnAt = now;
    const rate = this.#rateAt(now);
    const { label, unit, total, screen, extra } = this.#options;
    const state = { label, unit, total, done, rate, ...(extra === undefined ? {} : { extra: extra(rate) }) };
    if (screen.isTTY === true) screen.write(`\r${barLine(state, widthOf(screen) - 1)}\x1b[K`);
    else screen.write(`${plainLine(state)}\n`);
  }

  /** Takes the bar away, so that what is said next begins a line. */
  clear(): void {
    if (this.#drawnAt !== undefined && this.#options.screen.isTTY === true) this.#options.screen.write("\r\x1b[K");
    this.#drawnAt = undefined;
  }

  /** In place of the bar: how long it took, where that was long enough to show one. */
  end(): void {
    const durationMs = this.#options.now() - this.#startedAt;
    this.clear();
    if (durationMs < quietMs) return;
    const { label, unit, start = 0, screen } = this.#options;
    const done = this.#done - start;
    const rate = amount((done / durationMs) * 1000, unit);
    screen.write(`${label}: ${amount(done, unit)} in ${formatDuration(durationMs)}, ${rate}/s\n`);
  }

  #rateAt(now: number): number {
    while (this.#points.length > 1 && now - this.#points[1]!.at > rateWindowMs) this.#points.shift();
    const oldest = this.#points[0]!;
    this.#points.push({ at: now, done: this.#done });
    return now > oldest.at ? ((this.#done - oldest.done) / (now - oldest.at)) * 1000 : 0;
  }
}

/** Some terminals do not know their width, and say 0. */
function widthOf({ columns = 0 }: Screen): number {
  return columns > 0 ? columns : 80;
}

/** `a.iso  [######......]  52%  1.20 GB of 2.31 GB  410 MB/s  3 s left`; what `width` has no room for is left out. */
export function barLine(state: ProgressState, width: number): string {
  const { label } = state;
  const share = shareOf(state);
  const full = Math.floor((share ?? 0) * barSize);
  const bar = share === undefined ? [] : [`[${"#".repeat(full)}${".".repeat(barSize - full)}]`];
  const percent = share === undefined ? [] : [`${Math.floor(share * 100)}%`.padStart(4)];
  const end = rateAndRest(state);
  const lines = [
    [label, ...bar, ...percent, doneOfTotal(state), ...end],
    [label, ...percent, doneOfTotal(state), ...end],
    [label, ...percent, amount(state.done, state.unit), ...end],
  ].map((parts) => parts.join("  "));
  return lines.find((line) => line.length <= width) ?? lines.at(-1)!.slice(0, width);
}

/** `a.iso: 52%, 1.20 GB of 2.31 GB, 410 MB/s, 3 s left`. */
export function plainLine(state: ProgressState): string {
  const share = shareOf(state);
  const percent = share === undefined ? [] : [`${Math.floor(share * 100)}%`];
  return `${state.label}: ${[...percent, doneOfTotal(state), ...rateAndRest(state)].join(", ")}`;
}

function doneOfTotal({ done, total, unit }: ProgressState): string {
  if (total === undefined) return amount(done, unit);
  return `${unit === "bytes" ? formatSize(done) : formatCount(done)} of ${amount(total, unit)}`;
}

function rateAndRest(state: ProgressState): string[] {
  const { rate, unit, extra } = state;
  return [`${amount(rate, unit)}/s`, ...(extra === undefined ? [] : [extra]), ...timeLeft(state)];
}

function shareOf({ done, total }: ProgressState): number | undefined {
  return total === undefined || total === 0 ? undefined : Math.min(done / total, 1);
}

function timeLeft({ done, total, rate }: ProgressState): string[] {
  if (total === undefined || done >= total) return [];
  return [rate > 0 ? `${formatDuration(((total - done) / rate) * 1000)} left` : "stalled"];
}

function amount(value: number, unit: ProgressState["unit"]): string {
  return unit === "bytes" ? formatSize(value) : `${formatCount(value)} tickets`;
}
