/** A process on a machine of the simulation, kept up by a supervisor: it can be ended at any event, and is started again. */
import { messageOf, StoreError } from "../../src/core/errors.ts";
import { delay } from "../../src/env/host.ts";
import type { SimulatedHost, SimulatedMachine } from "../simulated-host.ts";
import type { Trace } from "./trace.ts";

/** Between a start that failed and the next one. */
const restartDelayMs = 300;
const lastMomentMs = 100;

export interface Closable {
  close(): Promise<void>;
}

/** How a call of a process ended: with its value, with its error, or not at all because the process did. */
export type CallOutcome<Value> =
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "died" };

export class SupervisedProcess<Running extends Closable> {
  readonly machine: SimulatedMachine;
  readonly startErrors: unknown[] = [];
  running: Running | undefined;
  /** Its Host, from when it began to start. */
  host: SimulatedHost | undefined;
  /** Whether it should be up. */
  wanted = false;
  startCount = 0;
  readonly #boot: (host: SimulatedHost) => Promise<Running>;
  readonly #trace: Trace;
  /** Called when the process ends, whichever way. */
  onEnd: (() => void) | undefined;
  /** For the statistics of a run. */
  onCut: (what: string) => void = () => undefined;
  #life = 0;
  #died = newSignal();

  constructor(machine: SimulatedMachine, trace: Trace, boot: (host: SimulatedHost) => Promise<Running>) {
    this.machine = machine;
    this.#trace = trace;
    this.#boot = boot;
  }

  get name(): string {
    return this.machine.name;
  }

  start(): void {
    this.wanted = true;
    if (this.host === undefined) void this.#start();
  }

  /** `kill -9`. */
  kill(): void {
    if (this.host === undefined) return;
    this.onCut(this.running === undefined ? "killed while it started or closed" : "killed while it ran");
    this.#gone();
  }

  cutPower(): void {
    this.#trace.add(this.name, "power cut");
    this.onCut(this.running === undefined ? "power cut while it started or closed" : "power cut while it ran");
    this.machine.cutPower("random");
    this.#ended();
  }

  /** Closes in order and is down then. Is killed where that takes longer than a supervisor waits. */
  async stop(timeoutMs: number): Promise<"closed" | "killed"> {
    this.wanted = false;
    const { running, host } = this;
    if (running === undefined || host === undefined) {
      this.kill();
      return "killed";
    }
    this.#trace.add(this.name, "stops");
    this.running = undefined;
    const outcome = await Promise.race([
      running.close().then(
        () => "closed" as const,
        (error: unknown) => {
          this.#trace.add(this.name, `closing failed: ${messageOf(error)}`);
          return "closed" as const;
        },
      ),
      this.#died.promise.then(() => "killed" as const),
      new Promise<"killed">((resolve) => void host.clock.after(timeoutMs, () => resolve("killed"))),
    ]);
    // What nobody waits for, as the closing of a file that was not used any more, has a moment to end.
    if (outcome === "closed") await Promise.race([delay(host.clock, lastMomentMs), this.#died.promise]);
    this.onCut(outcome === "closed" ? "closed in order" : "did not close in time");
    if (this.host === host) this.#gone();
    return outcome;
  }

  async call<Value>(work: (running: Running) => Promise<Value>): Promise<CallOutcome<Value>> {
    const { running } = this;
    if (running === undefined) return { kind: "error", error: new StoreError("BUSY", `${this.name} is down`) };
    let called: Promise<Value>;
    try {
      called = work(running);
    } catch (error) {
      return { kind: "error", error };
    }
    return Promise.race([
      called.then(
        (value) => ({ kind: "value", value }) as const,
        (error: unknown) => ({ kind: "error", error }) as const,
      ),
      this.#died.promise.then(() => ({ kind: "died" }) as const),
    ]);
  }

  #gone(): void {
    this.#trace.add(this.name, "killed");
    this.machine.kill(this.host!);
    this.#ended();
  }

  async #start(): Promise<void> {
    const life = ++this.#life;
    const host = this.machine.start();
    this.host = host;
    this.startCount++;
    this.#trace.add(this.name, "starts");
    try {
      const running = await this.#boot(host);
      if (life !== this.#life) return;
      this.running = running;
      this.#trace.add(this.name, "runs");
    } catch (error) {
      if (life !== this.#life) return;
      this.startErrors.push(error);
      this.#trace.add(this.name, `does not start: ${messageOf(error)}`);
      this.onCut("does not start at first");
      host.clock.after(restartDelayMs, () => this.#gone());
    }
  }

  #ended(): void {
    this.#life++;
    this.host = undefined;
    this.running = undefined;
    this.onEnd?.();
    const died = this.#died;
    this.#died = newSignal();
    died.resolve();
    if (this.wanted) void this.#start();
  }
}

function newSignal(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
