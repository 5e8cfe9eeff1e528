/**
 * Look-ups that are believed for a while. Every request asks who its access key is, so that the answer must usually be
 * there without waiting; somebody else can change it, so that it is not believed for long. What was looked up in vain
 * is remembered apart, so that made-up names do not drive out real ones.
 */
import type { Clock } from "../../../env/host.ts";

export interface RecentLookupsOptions<Value> {
  readonly clock: Clock;
  readonly believedMs: number;
  readonly foundMax: number;
  readonly missedMax: number;
  /** `before` is what was found last: to be returned again where nothing has changed. */
  readonly look: (name: string, before: Value | undefined) => Promise<Value | undefined>;
}

export class RecentLookups<Value extends object> {
  readonly #options: RecentLookupsOptions<Value>;
  readonly #found = new Map<string, { readonly value: Value; until: number }>();
  readonly #missed = new Map<string, number>();
  /** Who asks at the same moment waits for the same answer. As many at most as there are requests. */
  readonly #looking = new Map<string, Promise<Value | undefined>>();

  constructor(options: RecentLookupsOptions<Value>) {
    this.#options = options;
  }

  /** No promise where it is known. */
  get(name: string): Value | undefined | Promise<Value | undefined> {
    const now = this.#options.clock.monotonic();
    const found = this.#found.get(name);
    if (found !== undefined && now < found.until) return found.value;
    if (now < (this.#missed.get(name) ?? -Infinity)) return undefined;
    return this.#looking.get(name) ?? this.#look(name, found?.value);
  }

  /** Something was changed here: all is looked up anew, and an answer that is under way is not kept. */
  forget(): void {
    for (const found of this.#found.values()) found.until = -Infinity;
    this.#missed.clear();
    this.#looking.clear();
  }

  #look(name: string, before: Value | undefined): Promise<Value | undefined> {
    // From before it was read: the answer is not younger.
    const until = this.#options.clock.monotonic() + this.#options.believedMs;
    const looking: Promise<Value | undefined> = this.#options.look(name, before).then(
      (value) => {
        if (this.#looking.get(name) === looking) {
          this.#looking.delete(name);
          this.#keep(name, value, until);
        }
        return value;
      },
      (error: unknown) => {
        if (this.#looking.get(name) === looking) this.#looking.delete(name);
        throw error;
      },
    );
    this.#looking.set(name, looking);
    return looking;
  }

  #keep(name: string, value: Value | undefined, until: number): void {
    const { foundMax, missedMax } = this.#options;
    this.#found.delete(name);
    this.#missed.delete(name);
    if (value !== undefined) {
      dropOldest(this.#found, foundMax);
      this.#found.set(name, { value, until });
    } else {
      dropOldest(this.#missed, missedMax);
      this.#missed.set(name, until);
    }
  }
}

function dropOldest(map: Map<string, unknown>, sizeMax: number): void {
  if (map.size >= sizeMax) map.delete(map.keys().next().value!);
}
