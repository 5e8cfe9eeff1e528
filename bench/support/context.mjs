/** What a scenario is given: sizes, a directory on a real disk, processes, and a way to measure them. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { Child } from "./child.mjs";
import { freeSizeOf } from "./machine.mjs";
import { topOfProfile } from "./profile.mjs";

export class Context {
  /** Repetitions of each measurement. */
  runs;
  quick;
  profiles = [];
  notes = [];
  #directory;
  #isProfiling;
  #shared = new Map();
  #told;

  constructor({ quick, runs, directory, profile, tell }) {
    this.quick = quick;
    this.runs = runs ?? (quick ? 3 : 5);
    this.#directory = mkdtempSync(path.join(directory, "data-putter-bench-"));
    this.#isProfiling = profile;
    this.#told = tell;
  }

  /** A size of the measurement: the real one, or that of the short run. */
  pick(full, quick) {
    return this.quick ? quick : full;
  }

  /** What is under way, for whoever waits. */
  tell(text) {
    this.#told(text);
  }

  /** What whoever reads the figures has to know of them: a baseline that is not there, a thing that was not measured. */
  note(text) {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /** An empty directory. Fails where the disk has less than `size` bytes free. */
  directory(name, size = 0) {
    const free = freeSizeOf(this.#directory);
    if (free < size * 1.2) throw new Error(`${name} needs ${size} bytes of disk, and ${free} are free`);
    const directory = path.join(this.#directory, name);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    return directory;
  }

  /** Makes once what several scenarios use. */
  shared(name, make) {
    if (!this.#shared.has(name)) this.#shared.set(name, make());
    return this.#shared.get(name);
  }

  /** Starts programs, hands them to `work`, and ends them whatever happens. */
  async with(programs, work) {
    const children = [];
    try {
      for (const program of programs) children.push(await Child.start(program));
      const result = await work(...children);
      for (const child of children) await child.stop();
      return result;
    } finally {
      for (const child of children) child.kill();
    }
  }

  /** Does `work` and tells how long it took and how much processor time `child` used meanwhile, in seconds. */
  async measure(child, work) {
    const before = await child.call("usage");
    const startedAt = performance.now();
    const result = await work();
    const seconds = (performance.now() - startedAt) / 1000;
    const after = await child.call("usage");
    const user = after.user - before.user;
    const system = after.system - before.system;
    return { result, seconds, cpu: user + system, user, system, before, after };
  }

  get isProfiling() {
    return this.#isProfiling;
  }

  /** With --profile: `work` once more, outside of the figures, with a profile of `child`. */
  async profile(name, child, work) {
    if (!this.#isProfiling) return;
    await child.call("profileStart");
    await work();
    this.profiles.push({ name, top: topOfProfile(await child.call("profileStop"), 15) });
  }

  remove() {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
