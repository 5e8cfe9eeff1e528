/** What `npm run crash` and `npm run soak` have in common: a directory of its own, options, and an end in any case. */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** --dir and --product of parseArgs. */
export const placeOptions = {
  dir: { type: "string", default: os.tmpdir() },
  product: { type: "string", default: path.dirname(path.dirname(fileURLToPath(import.meta.url))) },
};

/**
 * Does `work` in a directory that is removed afterwards, unless `work` fails and `keeps`. A signal ends what was given to
 * `own`, and removes the directory.
 */
export async function inWorkplace({ name, dir, keepsWhenFailed, keepsAlways = false }, work) {
  const directory = await mkdtemp(path.join(path.resolve(dir), `data-putter-${name}-`));
  const owned = [];
  const killAll = () => {
    for (const { killAllAtOnce } of owned) killAllAtOnce();
  };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      killAll();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
      process.exit(130);
    });
  }
  /** What has `killAllAtOnce` does not outlive this. */
  const own = (owner) => {
    owned.push({ killAllAtOnce: () => owner.killAllAtOnce() });
    return owner;
  };
  let failed = true;
  try {
    await work({ directory, own });
    failed = false;
  } finally {
    killAll();
    const isKept = keepsAlways || (failed && keepsWhenFailed);
    if (!isKept) await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A number of an option's text; throws what a person can read. */
export function numberOf(values, name, { least, isWhole = false }) {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < least || (isWhole && !Number.isInteger(value))) {
    throw new Error(`--${name}: a${isWhole ? " whole" : ""} number from ${least} on, not ${values[name]}`);
  }
  return value;
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
