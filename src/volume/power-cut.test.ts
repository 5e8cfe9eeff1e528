/** What was answered "saved" survives a power cut at any moment; everything else verifies, is absent or is corrupt. */
import { describe, expect, it } from "vitest";
import { type SimulatedHost, type SimulatedMachine, Simulation } from "../../sim/simulated-host.ts";
import type { SimulatedRandom } from "../../sim/simulated-random.ts";
import { statusesOf, VolumeHarness } from "../../sim/volume-harness.ts";
import { groupTicketCount, TicketStatus } from "../core/frame.ts";
import { type Depth, depths, layoutOf, volumeStart } from "../core/layout.ts";
import type { VolumeStore } from "./volume-store.ts";

/** More of them by `SEEDS=1000 npx vitest run power-cut`. */
const seedsAsked = Number(process.env["SEEDS"] ?? 16);
const root = "/srv/data";

/** A store on a machine whose power is cut again and again, and what it has promised. */
class Life {
  readonly simulation: Simulation;
  readonly machine: SimulatedMachine;
  readonly random: SimulatedRandom;
  readonly depth: Depth;
  /** The version that each ticket was answered saved with. */
  readonly promised = new Map<number, number>();
  readonly touched = new Set<number>();
  readonly #direct: boolean;
  harness = new VolumeHarness({ tiny: 64, block: 12, group: 2 });
  host!: SimulatedHost;
  store!: VolumeStore;

  constructor(seed: number, depth: Depth) {
    this.simulation = new Simulation(seed);
    this.random = this.simulation.random.fork();
    this.#direct = this.random.chance(0.7);
    this.machine = this.simulation.machine("a", { direct: this.#direct });
    this.depth = depth;
  }

  async start(): Promise<void> {
    this.host = this.machine.start();
    // What the process before it had taken is gone with it.
    this.harness = new VolumeHarness({ tiny: 64, block: 12, group: 2 });
    const options = { root, depth: this.depth, openVolumesMax: 6 };
    this.store = await this.simulation.clock.run(this.harness.open(this.host, options));
  }

  /** Writes now and then, without waiting for the end. */
  begin(): void {
    const { random } = this;
    const layout = layoutOf(this.depth);
    for (let writes = random.between(1, 12); writes > 0; writes--) {
      const whole = this.depth === 2 && random.chance(0.1);
      const volume = random.below(this.depth === 4 ? 60 : 3) + 1;
      const start = volumeStart(layout, volume);
      const aligned = start + ((groupTicketCount - (layout.firstSlot % groupTicketCount)) % groupTicketCount);
      const first = whole ? aligned : Math.max(0, start + random.between(-4, 20));
      const count = whole ? groupTicketCount : random.between(1, 12);
      const version = random.chance(0.8) ? 1 : 2;
      this.simulation.clock.after(random.fraction() * 10, () => void this.#write(this.store, first, count, version));
    }
  }

  async #write(store: VolumeStore, first: number, count: number, version: number): Promise<void> {
    if (store !== this.store) return;
    const kind = count > 180 ? "group" : count > 2 ? "block" : "tiny";
    if (this.harness.kernel.freeCount(kind) === 0) return;
    const outcome = await this.harness.write(store, first, count, version);
    for (const [index, status] of statusesOf(outcome, count).entries()) {
      const ticket = first + index;
      this.touched.add(ticket);
      if (status !== TicketStatus.saved) continue;
      const before = this.promised.get(ticket);
      if (before !== undefined && before !== version) throw new Error(`ticket ${ticket} was saved twice, differently`);
      this.promised.set(ticket, version);
    }
  }

  /** Lets some events happen; the writes may or may not have come to their end. */
  async someEvents(): Promise<void> {
    for (let count = this.random.below(200); count > 0; count--) if (!(await this.simulation.clock.step())) return;
  }

  /** Problems with what can be read now. */
  async check(): Promise<string[]> {
    const problems: string[] = [];
    for (const [ticket, version] of this.promised) {
      const [found] = await this.simulation.clock.run(this.harness.versions(this.store, ticket, 1));
      if (found !== version) problems.push(`ticket ${ticket}: saved as ${version}, found ${found}`);
    }
    for (const ticket of this.touched) {
      const [found] = await this.simulation.clock.run(this.harness.versions(this.store, ticket, 1));
      if (found === "a wrong ticket that verifies") problems.push(`ticket ${ticket}: ${found}`);
    }
    return problems;
  }
}

describe.each(depths)("at depth %i", (depth) => {
  // Whole groups are 3 MB each.
  const seedCount = depth === 2 ? Math.ceil(seedsAsked / 2) : seedsAsked;

  it("what was saved is there after any number of power cuts at any moment", async () => {
    let saved = 0;
    for (let seed = 0; seed < seedCount; seed++) {
      const life = new Life(seed, depth);
      for (let cut = 0; cut < 3; cut++) {
        await life.start();
        expect({ seed, cut, problems: await life.check() }).toEqual({ seed, cut, problems: [] });
        life.begin();
        await life.someEvents();
        life.machine.cutPower();
      }
      await life.start();
      expect({ seed, problems: await life.check() }).toEqual({ seed, problems: [] });
      saved += life.promised.size;
    }
    expect(saved).toBeGreaterThan(seedCount);
  });

  it("a process that is killed leaves nothing that the next one answers saved without syncing it", async () => {
    for (let seed = 0; seed < seedCount; seed++) {
      const life = new Life(seed + 10_000, depth);
      await life.start();
      life.begin();
      await life.someEvents();
      life.machine.kill(life.host);
      await life.start();
      expect({ seed, problems: await life.check() }).toEqual({ seed, problems: [] });
      // The same tickets again, as a sender does that got no answer, and others.
      life.begin();
      await life.simulation.clock.runUntilIdle();
      life.machine.cutPower();
      await life.start();
      expect({ seed, problems: await life.check() }).toEqual({ seed, problems: [] });
    }
  });

  it("tickets that only the cache had are durable once the next process has answered for them", async () => {
    for (let seed = 0; seed < seedCount; seed++) {
      const life = new Life(seed, depth);
      await life.start();
      const { clock } = life.simulation;
      const first = volumeStart(layoutOf(depth), 40);
      life.machine.disk.faults.push({ operation: "sync", path: /obj|sum/, code: "EIO" });
      await clock.run(life.harness.write(life.store, first, 5, 1));
      life.machine.disk.faults.length = 0;
      life.machine.kill(life.host);
      await life.start();
      expect(await clock.run(life.harness.versions(life.store, first, 5))).toEqual([1, 1, 1, 1, 1]);
      expect((await clock.run(life.harness.write(life.store, first, 5, 1))).status).toBe(TicketStatus.saved);
      life.machine.cutPower("lose");
      await life.start();
      expect(await clock.run(life.harness.versions(life.store, first, 5))).toEqual([1, 1, 1, 1, 1]);
    }
  });

  it("a store in the midst of being made is made or not, and can be made again", async () => {
    for (let seed = 0; seed < seedCount; seed++) {
      const life = new Life(seed, depth);
      const host = life.machine.start();
      const opening = life.harness.open(host, { root, depth });
      for (let count = life.random.below(25); count > 0; count--) await life.simulation.clock.step();
      if (life.random.chance(0.5)) life.machine.cutPower();
      else life.machine.kill(host);
      void opening;
      await life.start();
      const { clock } = life.simulation;
      expect((await clock.run(life.harness.write(life.store, 7, 1, 1))).status).toBe(TicketStatus.saved);
      life.machine.cutPower("lose");
      await life.start();
      expect(await clock.run(life.harness.versions(life.store, 7, 1))).toEqual([1]);
    }
  });
});
