/**
 * Contents that are told apart by what they are: each is named by the MD5 of its bytes, and the model knows every one that
 * was ever sent. What is read and is none of these was torn, mixed or made up.
 */
import { hash } from "node:crypto";
import { Random } from "./random.mjs";

const poolSize = 16 * 1024 * 1024;
const ticket = 1458;
const block = 180 * ticket;
const group = 2048 * ticket;
/** All parts of an upload but the last have to be so large. */
export const partSizeMin = 5 * 1024 * 1024;

/** Around every boundary there is: none, one byte, a ticket, a block, a group. */
const sizes = [
  [3, (random) => random.pick([0, 1, 15])],
  [10, (random) => random.between(16, 3000)],
  [4, (random) => ticket * random.pick([1, 2, 3]) + random.pick([-1, 0, 1])],
  [8, (random) => random.between(3000, 60_000)],
  [2, (random) => block + random.pick([-1, 0, 1])],
  [3, (random) => random.between(block, 1_500_000)],
  [1, (random) => group + random.pick([-1, 0, 1])],
  [1, (random) => random.between(group, 5_000_000)],
];

export class Contents {
  #pool = Buffer.alloc(poolSize);
  #number = 0;
  /** Content's name → size. */
  #known = new Map();

  constructor(seed) {
    const random = new Random(seed);
    for (let at = 0; at < poolSize; at += 4) this.#pool.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at);
  }

  sizeBy(random) {
    return random.weighted(sizes)(random);
  }

  /** New bytes, unlike all others (but for the shortest), with their name. */
  make(random, size) {
    const at = random.between(0, poolSize - size);
    const bytes = Buffer.from(this.#pool.subarray(at, at + size));
    if (size >= 16) bytes.writeBigUInt64BE(BigInt(++this.#number), random.between(0, size - 8));
    return this.note(bytes);
  }

  note(bytes) {
    const name = nameOf(bytes);
    this.#known.set(name, bytes.length);
    return { bytes, name, size: bytes.length };
  }

  /** What is wrong with bytes that were read, or undefined. */
  problemOf(bytes) {
    const name = nameOf(bytes);
    const size = this.#known.get(name);
    return size === bytes.length ? undefined : `${bytes.length} bytes that nobody ever sent (MD5 ${name})`;
  }
}

export function nameOf(bytes) {
  return hash("md5", bytes, "hex");
}
