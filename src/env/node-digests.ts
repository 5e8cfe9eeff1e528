/** Digests by Node: small bodies where they are, large ones by worker threads (node-digest-pool.ts says how). */
import * as limits from "../core/limits.ts";
import type { Digest, DigestAlgorithm, Digests } from "./digests.ts";
import { digestOnce, type Hashers, InlineDigest, makeHashers } from "./node-digest-inline.ts";
import { DigestPool } from "./node-digest-pool.ts";

export interface NodeDigestsOptions {
  /** Threads; the cores but one where it is not said, 0 for none. */
  readonly workerCount?: number;
}

export async function openNodeDigests(options: NodeDigestsOptions = {}): Promise<Digests> {
  return new NodeDigests(await makeHashers(), options.workerCount);
}

class NodeDigests implements Digests {
  readonly #hashers: Hashers;
  readonly #pool: DigestPool;
  /** Large bodies that are hashed on this thread. */
  #ownCount = 0;

  constructor(hashers: Hashers, workerCount: number | undefined) {
    this.#hashers = hashers;
    this.#pool = new DigestPool(workerCount);
  }

  open(algorithms: readonly DigestAlgorithm[], sizeHint: number | undefined): Digest {
    if ((sizeHint !== undefined && sizeHint < limits.digestAwaySizeMin) || algorithms.length === 0) {
      return new InlineDigest(this.#hashers, algorithms, sizeHint);
    }
    if (!this.#isOwnTurn()) return this.#pool.open(algorithms);
    this.#ownCount++;
    return new InlineDigest(this.#hashers, algorithms, sizeHint, () => this.#ownCount--);
  }

  once(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
    return digestOnce(this.#hashers, algorithm, bytes);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Hashing large bodies is most of the work there is: with several at a time, this thread does its part. */
  #isOwnTurn(): boolean {
    const { openCount, workerCount } = this.#pool;
    if (workerCount === 0 || openCount >= limits.digestsAwayMax) return true;
    return openCount >= (this.#ownCount + 1) * limits.digestsAwayPerOwn * workerCount;
  }
}
