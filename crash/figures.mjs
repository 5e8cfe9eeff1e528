/** What came of a load: seconds to each answer by what kind of answer it was, and what went wrong. */

export class Figures {
  /** Seconds to each answer. `first`: on its connection, so with the time until that was taken. */
  done = [];
  refused = [];
  first = [];
  /** What must not happen → how often. */
  failures = new Map();
  bytesIn = 0;

  add(other) {
    // Not by spreading: an argument each is more than a call can take.
    this.done = this.done.concat(other.done);
    this.refused = this.refused.concat(other.refused);
    this.first = this.first.concat(other.first);
    this.bytesIn += other.bytesIn;
    for (const [what, count] of other.failures) this.failures.set(what, (this.failures.get(what) ?? 0) + count);
  }

  fail(what) {
    this.failures.set(what, (this.failures.get(what) ?? 0) + 1);
  }

  describe(seconds) {
    const latencies = [0.5, 0.99, 1].map((share) => secondsText(quantile(this.done, share))).join(" / ");
    const failed = [...this.failures].map(([what, count]) => `, ${count} × ${what}`).join("");
    const first = this.first.length === 0 ? "" : `; first ones, max ${secondsText(quantile(this.first, 1))}`;
    return (
      `${Math.round(this.done.length / seconds)} done/s, ${(this.bytesIn / 1e6 / seconds).toFixed(1)} MB/s in, ` +
      `p50 / p99 / max ${latencies}${first}; ` +
      `${this.refused.length} refused, p99 ${secondsText(quantile(this.refused, 0.99))}${failed}`
    );
  }
}

/**
 * Seconds, at most: `usual` for 99 of 100 answers, `worst` for all, `refusal` for 99 of 100 refusals. Something has to be done, and
 * something refused where `refuses`: else it was no more than could be taken. Tells what was not kept.
 */
export function brokenBounds({ done, refused, first, failures }, { usual, worst, refusal, refuses }) {
  const broken = [...failures].map(([what, count]) => `${count} × ${what}`);
  const atMost = (what, seconds, bound) => {
    if (seconds > bound) broken.push(`${what}: ${seconds.toFixed(1)} s, at most ${bound}`);
  };
  atMost("p99", quantile(done, 0.99), usual);
  atMost("the longest answer", quantile(done, 1), worst);
  atMost("the longest first answer on a connection", quantile(first, 1), worst);
  atMost("p99 of refusals", quantile(refused, 0.99), refusal);
  if (done.length === 0) broken.push("nothing was done");
  if (refuses && refused.length === 0) broken.push("nothing was refused");
  return broken;
}

export function quantile(values, share) {
  if (values.length === 0) return 0;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function secondsText(value) {
  return value >= 1 ? `${value.toFixed(1)} s` : `${Math.round(value * 1000)} ms`;
}
