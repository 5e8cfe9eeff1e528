/**
 * Makes the load of WriteTickets: all frames are built before the clock starts, and sent with a bounded number in flight.
 * Every answer's status is looked at.
 */
import { randomFillSync } from "node:crypto";
import net from "node:net";
import { responseSize, writeTicketSize } from "../../dist/core/frame.js";
import { Kernel } from "../../dist/core/kernel.js";
import { answer } from "../support/answer.mjs";
import { bind as host, key } from "../support/product.mjs";
import { sendStream } from "../support/send-stream.mjs";

const kernel = new Kernel(key, { tiny: 1, block: 1, group: 1 });
const block = kernel.take("block");
randomFillSync(block.data);
/** Frames of each connection. */
let prepared = [];

answer({
  /** `count` tickets for each of `connections`: consecutive ids, one connection's after the other's. */
  prepare: ({ first, connections, count }) => {
    prepared = Array.from({ length: connections }, (_, index) => framesOf(first + index * count, count));
  },
  /** How many tickets were answered "saved", on all connections. */
  send: async ({ port, inFlight }) => {
    const answered = await Promise.all(prepared.map((frames) => new Sender(frames, inFlight).run(port)));
    return answered.reduce((sum, count) => sum + count, 0);
  },
  /** The same bytes to whoever says `OK` at the end. */
  sendPlain: ({ port }) => Promise.all(prepared.map((frames) => sendPlain(port, frames))),
  close: () => undefined,
});

function framesOf(first, count) {
  const frames = Buffer.allocUnsafeSlow(count * writeTicketSize);
  for (let done = 0; done < count; done += block.ticketCountMax) {
    const part = Math.min(block.ticketCountMax, count - done);
    const { receiveBuffer } = kernel;
    const step = Math.floor(receiveBuffer.length / writeTicketSize);
    for (let from = 0; from < part; from += step) {
      const some = Math.min(step, part - from);
      kernel.makeSums(first + done + from, some, block.data, block.sums);
      kernel.enframe(first + done + from, some, block.data, block.sums, receiveBuffer);
      frames.set(receiveBuffer.subarray(0, some * writeTicketSize), (done + from) * writeTicketSize);
    }
  }
  return frames;
}

/** Sent at once at most: the system takes less than that anyway. */
const sendCountMax = 1024;

class Sender {
  #frames;
  #inFlight;
  #count;
  #socket;
  #sent = 0;
  #saved = 0;
  #refused = 0;
  /** Where in a response the next byte belongs. */
  #at = 0;
  #blocked = false;

  constructor(frames, inFlight) {
    this.#frames = frames;
    this.#inFlight = inFlight;
    this.#count = frames.length / writeTicketSize;
  }

  run(port) {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(65_536);
      const callback = (size) => {
        this.#look(buffer, size);
        if (this.#saved + this.#refused === this.#count) this.#socket.end();
        else this.#send();
        return true;
      };
      this.#socket = net.connect({ host, port, onread: { buffer, callback }, noDelay: true });
      this.#socket.on("connect", () => this.#send());
      this.#socket.on("drain", () => {
        this.#blocked = false;
        this.#send();
      });
      this.#socket.on("error", reject);
      this.#socket.on("close", () => {
        if (this.#saved === this.#count) resolve(this.#saved);
        else reject(new Error(`${this.#saved} of ${this.#count} saved, ${this.#refused} answered otherwise`));
      });
    });
  }

  #send() {
    while (!this.#blocked && this.#sent < this.#count) {
      const room = this.#inFlight - (this.#sent - this.#saved - this.#refused);
      const count = Math.min(room, this.#count - this.#sent, sendCountMax);
      // Few at a time would cost a call each.
      if (count <= 0 || (room < this.#inFlight / 8 && this.#sent + count < this.#count)) return;
      const from = this.#sent * writeTicketSize;
      this.#sent += count;
      this.#blocked = !this.#socket.write(this.#frames.subarray(from, from + count * writeTicketSize));
    }
  }

  #look(buffer, size) {
    const statusAt = responseSize - 1;
    for (let at = statusAt - this.#at; at < size; at += responseSize) {
      if (buffer[at] === 0) this.#saved++;
      else this.#refused++;
    }
    this.#at = (this.#at + size) % responseSize;
  }
}

function sendPlain(port, frames) {
  const pieceSize = sendCountMax * writeTicketSize;
  let at = 0;
  return sendStream(host, port, () => {
    if (at >= frames.length) return undefined;
    at += pieceSize;
    return frames.subarray(at - pieceSize, at);
  });
}
