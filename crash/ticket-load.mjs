/**
 * Senders of WriteTickets on tcp/5000, each with many in flight, whose ids do not follow one another: every ticket wants a buffer
 * and a write of its own. What is answered 6, busy, is sent again after a pause.
 */
import net from "node:net";
import { Figures } from "./figures.mjs";
import { pause } from "./workplace.mjs";

const inFlightMax = 64;
const afterRefusalMs = [500, 2_000];
const connectEveryMs = 5;
/** Ids of one sender lie so far from those of the next one, and so far from each other. */
const senderIds = 200_000;
const idStep = 3;
const firstId = 100_000;
const ticketSize = 1458;
const frameSize = 1474;
const responseSize = 9;
const saved = 0;
const busy = 6;
const poolSize = 1024 * 1024;

export class TicketLoad {
  figures = new Figures();
  /** Tickets that were answered 0. */
  #saved = [];
  #isOver = false;
  #tools;
  #pool = Buffer.alloc(poolSize);

  /** `tools`: { kernel, readId } of the product. */
  constructor(tools, random) {
    this.#tools = tools;
    for (let at = 0; at < poolSize; at += 4) this.#pool.writeUInt32LE(random.between(0, 2 ** 32), at);
  }

  async run(port, senders, random) {
    await Promise.all(Array.from({ length: senders }, (_, number) => this.#runSender(port, number, random.branch())));
  }

  /** Nothing new is sent; what is in flight is still answered. */
  end() {
    this.#isOver = true;
  }

  get savedCount() {
    return this.#saved.length;
  }

  /** Reads back what was answered 0: `read(first, count, data, sums)` as of the product's RequestClient. */
  async readAll(read) {
    const { kernel } = this.#tools;
    const buffer = kernel.take("tiny");
    for (const id of this.#saved) {
      await read(id, 1, buffer.data.subarray(0, ticketSize), buffer.sums.subarray(0, 8));
      const isThere = kernel.checkSums(id, 1, buffer.data, buffer.sums) === 1;
      if (!isThere || Buffer.compare(buffer.data.subarray(0, ticketSize), this.#dataOf(id)) !== 0) {
        throw new Error(`ticket ${id} was answered 0, and ${isThere ? "has other bytes" : "is not there"}`);
      }
    }
    buffer.release();
    return this.#saved.length;
  }

  #dataOf(id) {
    const at = (id * 7919) % (poolSize - ticketSize);
    return this.#pool.subarray(at, at + ticketSize);
  }

  #frameOf(id) {
    const { kernel } = this.#tools;
    const buffer = kernel.take("tiny");
    buffer.data.set(this.#dataOf(id));
    kernel.makeSums(id, 1, buffer.data, buffer.sums);
    const frames = kernel.take("tiny");
    kernel.enframe(id, 1, buffer.data, buffer.sums, frames.pages);
    const frame = Buffer.from(frames.pages.subarray(0, frameSize));
    frames.release();
    buffer.release();
    return frame;
  }

  async #runSender(port, number, random) {
    await pause(number * connectEveryMs);
    const socket = net.connect({ host: "127.0.0.1", port });
    /** Id → when it was sent. */
    const flying = new Map();
    const again = [];
    let next = firstId + number * senderIds;
    const state = { isResting: false };
    await new Promise((resolve) => {
      const send = (id) => {
        flying.set(id, performance.now());
        socket.write(this.#frameOf(id));
      };
      const fill = () => {
        if (this.#isOver) {
          if (flying.size === 0) socket.end();
          return;
        }
        while (!state.isResting && flying.size < inFlightMax) {
          const id = again.pop() ?? next;
          if (id === next) next += idStep;
          send(id);
        }
      };
      const rest = () => {
        if (state.isResting) return;
        state.isResting = true;
        void pause(random.between(...afterRefusalMs)).then(() => {
          state.isResting = false;
          fill();
        });
      };
      socket.on("connect", fill);
      let part = Buffer.alloc(0);
      socket.on("data", (chunk) => {
        part = Buffer.concat([part, chunk]);
        for (; part.length >= responseSize; part = part.subarray(responseSize)) {
          const id = this.#tools.readId(part, 0);
          const seconds = (performance.now() - flying.get(id)) / 1000;
          flying.delete(id);
          const status = part[8];
          if (status === saved) {
            this.figures.done.push(seconds);
            this.figures.bytesIn += ticketSize;
            this.#saved.push(id);
          } else if (status === busy) {
            this.figures.refused.push(seconds);
            again.push(id);
            rest();
          } else this.figures.fail(`a ticket was answered ${status}`);
        }
        fill();
      });
      socket.on("error", (error) => this.figures.fail(`a sender's connection: ${error.message}`));
      socket.on("close", () => {
        if (flying.size > 0) this.figures.fail(`${flying.size} tickets of a sender were not answered`);
        resolve();
      });
    });
  }
}
