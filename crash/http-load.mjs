/** S3 clients that ask without a pause but after a refusal: PUT (most), GET of what they stored, listing, DELETE. */
import { NeverAnswered, NoAnswer, S3Client } from "./client.mjs";
import { Figures } from "./figures.mjs";
import { pause } from "./workplace.mjs";

/** Of each connection. */
const keyCount = 6;
/** One after the other: a busy process takes one connection from the system in each turn of its loop, and no more. */
const connectEveryMs = 12;
const afterRefusalMs = [200, 1_000];
const bucket = "/soak";
const poolSize = 4 * 1024 * 1024;

const sizes = [
  [50, (random) => random.between(0, 4096)],
  [35, (random) => random.between(4096, 262_144)],
  [14, (random) => random.between(262_144, 1_048_576)],
  [1, (random) => random.between(1_048_576, 4_000_000)],
];
const actions = [
  [62, "PUT"],
  [22, "GET"],
  [4, "LIST"],
  [12, "DELETE"],
];

export class HttpLoad {
  figures = new Figures();
  /** Key → bytes that were acknowledged, and that nobody has overwritten or deleted since. */
  #stored = new Map();
  #port;
  #pool = Buffer.alloc(poolSize);
  #isOver = false;

  constructor(port, random) {
    this.#port = port;
    for (let at = 0; at < poolSize; at += 4) this.#pool.writeUInt32LE(random.between(0, 2 ** 32), at);
  }

  async run(connections, random) {
    const client = new S3Client(this.#port);
    await client.send("PUT", bucket);
    client.close();
    await Promise.all(Array.from({ length: connections }, (_, number) => this.#runClient(number, random.branch())));
  }

  end() {
    this.#isOver = true;
  }

  /** Everything that was acknowledged, read from a store that was killed and started again. */
  async readAll(port) {
    const client = new S3Client(port);
    let count = 0;
    for (const [key, bytes] of this.#stored) {
      const { status, body } = await client.send("GET", `${bucket}/${key}`);
      if (status !== 200 || !body.equals(bytes)) throw new Error(`GET ${key}, which was acknowledged: ${status}`);
      count++;
    }
    client.close();
    return count;
  }

  async #runClient(number, random) {
    const client = new S3Client(this.#port);
    await pause(number * connectEveryMs);
    for (let isFirst = true; !this.#isOver; isFirst = false) {
      const key = `${String(number).padStart(5, "0")}/${random.between(0, keyCount)}`;
      const began = performance.now();
      let status;
      try {
        status = await this.#ask(client, random.weighted(actions), key, random);
      } catch (error) {
        if (!(error instanceof NoAnswer || error instanceof NeverAnswered)) throw error;
        // It is not known what the key holds now.
        this.#stored.delete(key);
        this.figures.fail(error instanceof NeverAnswered ? "no answer in 60 s" : `connection lost: ${error.message}`);
        continue;
      }
      const seconds = (performance.now() - began) / 1000;
      if (status === 503) {
        this.figures.refused.push(seconds);
        await pause(random.between(...afterRefusalMs));
      } else if (status < 300 || status === 404) (isFirst ? this.figures.first : this.figures.done).push(seconds);
      else this.figures.fail(`answered ${status}`);
    }
    client.close();
  }

  async #ask(client, action, key, random) {
    const before = this.#stored.get(key);
    if (action === "GET" && before !== undefined) {
      const { status, body } = await client.send("GET", `${bucket}/${key}`);
      if (status === 200 && !body.equals(before)) throw new Error(`GET ${key}: other bytes than were stored`);
      if (status === 404) throw new Error(`GET ${key}: it was acknowledged, and is gone`);
      return status;
    }
    if (action === "LIST") {
      const query = [
        ["list-type", "2"],
        ["max-keys", "100"],
        ["prefix", key.slice(0, 4)],
      ];
      return refusedAsSlowDown(await client.send("GET", bucket, { query }));
    }
    this.#stored.delete(key);
    if (action === "DELETE") return (await client.send("DELETE", `${bucket}/${key}`)).status;
    const size = random.weighted(sizes)(random);
    const at = random.between(0, poolSize - size);
    const body = this.#pool.subarray(at, at + size);
    const answer = await client.send("PUT", `${bucket}/${key}`, { body });
    if (answer.status === 200) {
      this.#stored.set(key, body);
      this.figures.bytesIn += size;
    } else if (before !== undefined && answer.status === 503) this.#stored.set(key, before);
    return refusedAsSlowDown(answer);
  }
}

/** A refusal says what it is. */
function refusedAsSlowDown({ status, body }) {
  if (status === 503 && !body.includes("<Code>SlowDown</Code>")) throw new Error(`503 without SlowDown: ${body}`);
  return status;
}
