/**
 * A process's memory over time, and whether it is flat: after a share of the time in which it may still grow, the median of the last
 * third is no more than so much above the median of the first third, and at no time is it more than so much.
 */
import { readFileSync } from "node:fs";
import { quantile } from "./figures.mjs";

const warmUpShare = 0.4;

export class Memory {
  #samples = [];

  /** Of a process and its threads: resident, in megabytes. */
  sample(pid) {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
    this.#samples.push((pages * 4096) / 1e6);
  }

  get last() {
    return Math.round(this.#samples.at(-1) ?? 0);
  }

  /** Megabytes, at most ever, and from early to late. */
  broken(most, growth) {
    const { early, late } = this.#thirds();
    const highest = Math.max(...this.#samples);
    return [
      ...(highest > most ? [`memory: ${Math.round(highest)} MB, at most ${most}`] : []),
      ...(late - early > growth ? [`memory grows: ${Math.round(early)} MB, later ${Math.round(late)} MB`] : []),
    ];
  }

  describe() {
    const { early, late } = this.#thirds();
    const step = Math.max(1, Math.floor(this.#samples.length / 24));
    const some = this.#samples.filter((_, index) => index % step === 0).map(Math.round);
    return `memory ${Math.round(early)} → ${Math.round(late)} MB (${some.join(" ")})`;
  }

  #thirds() {
    const warm = this.#samples.slice(Math.floor(this.#samples.length * warmUpShare));
    const third = Math.ceil(warm.length / 3);
    return { early: quantile(warm.slice(0, third), 0.5), late: quantile(warm.slice(-third), 0.5) };
  }
}
