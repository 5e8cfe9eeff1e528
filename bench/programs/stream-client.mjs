/**
 * Makes the load of byte streams as cheaply as can be: sends one buffer over and over, and lets what it receives fall.
 * Of an object's answer it looks at the heads only; that the bytes verify is the router's work, which is measured.
 */
import { randomFillSync } from "node:crypto";
import net from "node:net";
import { parseId } from "../../dist/core/ids.js";
import { Kernel } from "../../dist/core/kernel.js";
import {
  answerSize,
  decodeAnswer,
  decodeJsonBody,
  encodeRequest,
  noSession,
  protocolVersion,
} from "../../dist/wire/message.js";
import { answer } from "../support/answer.mjs";
import { bind as host, key } from "../support/product.mjs";
import { sendStream } from "../support/send-stream.mjs";

const chunk = randomFillSync(Buffer.allocUnsafeSlow(1024 * 1024));
const received = Buffer.allocUnsafeSlow(1024 * 1024);
const kernel = new Kernel(key, { tiny: 1, block: 1, group: 1 });
const helloBytes = new Uint8Array(8).fill(7);

answer({
  /** `size` bytes over each of `connections`; what was answered. */
  send: ({ port, size, connections = 1 }) => many(connections, () => sendOne(port, size)),
  /** Objects by id, each over a connection of its own; how many bytes of them came. */
  getObjects: ({ port, objects }) => Promise.all(objects.map((object) => getObject(port, parseId(object)))),
  /** All that comes. */
  drain: ({ port, connections = 1 }) => many(connections, () => drain(port)),
  close: () => undefined,
});

function many(count, make) {
  return Promise.all(Array.from({ length: count }, make));
}

function sendOne(port, size) {
  let left = size;
  return sendStream(host, port, () => {
    if (left === 0) return undefined;
    const piece = left >= chunk.length ? chunk : chunk.subarray(0, left);
    left -= piece.length;
    return piece;
  });
}

function drain(port) {
  return new Promise((resolve, reject) => {
    let size = 0;
    const onread = { buffer: received, callback: (count) => void (size += count) };
    const socket = net.connect({ host, port, onread });
    socket.on("error", reject);
    socket.on("close", () => resolve(size));
  });
}

function getObject(port, object) {
  return new Promise((resolve, reject) => {
    let session = noSession;
    let greeting;
    let size = 0;
    const reader = new AnswerReader(kernel, () => session, {
      json: (value) => (greeting ??= value),
      tickets: ({ take }) => (size += take),
      end: (number) => {
        if (number === 2) {
          socket.destroy();
          resolve(size);
          return;
        }
        session = new Uint8Array(16);
        session.set(helloBytes);
        session.set(Buffer.from(greeting.session, "hex"), 8);
        socket.write(encodeRequest(kernel, session, { operation: "get", a: object, number: 2 }, new Uint8Array(0)));
      },
      error: ({ message }) => reject(new Error(message)),
    });
    const callback = (count) => reader.bytes(received.subarray(0, count));
    const socket = net.connect({ host, port, onread: { buffer: received, callback } });
    socket.write(encodeRequest(kernel, noSession, { operation: "hello", a: protocolVersion, number: 1 }, helloBytes));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the connection closed before the end of the object")));
  });
}

/** Takes answers apart as they arrive, without keeping what they carry. */
class AnswerReader {
  #kernel;
  #session;
  #on;
  #head = new Uint8Array(answerSize);
  #headSize = 0;
  #answer;
  #body;
  #missing = 0;

  constructor(kernel, session, on) {
    this.#kernel = kernel;
    this.#session = session;
    this.#on = on;
  }

  bytes(bytes) {
    for (let at = 0; at < bytes.length || (this.#answer !== undefined && this.#missing === 0);) {
      if (this.#answer === undefined) {
        const part = bytes.subarray(at, at + answerSize - this.#headSize);
        this.#head.set(part, this.#headSize);
        this.#headSize += part.length;
        at += part.length;
        if (this.#headSize === answerSize) this.#takeHead();
      } else {
        const part = bytes.subarray(at, at + this.#missing);
        this.#body?.set(part, this.#body.length - this.#missing);
        this.#missing -= part.length;
        at += part.length;
        if (this.#missing === 0) this.#takeBody();
      }
    }
    return true;
  }

  #takeHead() {
    this.#headSize = 0;
    this.#answer = decodeAnswer(this.#kernel, this.#session(), this.#head);
    this.#missing = this.#answer.size;
    this.#body = this.#answer.kind === "tickets" ? undefined : new Uint8Array(this.#answer.size);
  }

  #takeBody() {
    const taken = this.#answer;
    this.#answer = undefined;
    if (taken.kind === "tickets") this.#on.tickets(taken);
    else if (taken.kind === "end") this.#on.end(taken.number);
    else this.#on[taken.kind](decodeJsonBody(this.#kernel, taken.bodyMac, this.#body));
  }
}
