/**
 * What a digest worker runs, as text: a file of its own would be TypeScript here and JavaScript in dist/, and Node 20 starts
 * workers from JavaScript only. It is told of a body's bytes by slabs of shared memory, gives each slab back, and makes of
 * each algorithm what node-digest-inline.ts does.
 */

/** To a worker. `slab` and `size`: the next bytes. */
export interface ToWorker {
  readonly id: number;
  /** With the first message. */
  readonly algorithms?: readonly string[];
  readonly slab?: number;
  readonly memory?: SharedArrayBuffer;
  readonly size?: number;
  readonly end?: "finish" | "abort";
}

export interface FromWorker {
  readonly id: number;
  /** Given back. */
  readonly slab?: number;
  readonly results?: readonly Uint8Array[];
}

export const digestWorkerSource = `
"use strict";
const { parentPort, workerData } = require("node:worker_threads");
const { createHash } = require("node:crypto");
const { crc32 } = require("node:zlib");
const { createCRC32, createCRC64 } = require(workerData.hashWasm);

const open = new Map();
let shared;

class ZlibCrc {
  value = 0;
  update(bytes) { this.value = crc32(bytes, this.value); }
  finish() { return Uint8Array.of(this.value >>> 24, this.value >>> 16, this.value >>> 8, this.value); }
}

class WasmCrc {
  constructor(place) { this.place = place; }
  mine() {
    const { place } = this;
    if (place.user === this) return place.hasher;
    if (place.user !== undefined) place.user.state = place.hasher.save();
    place.user = this;
    return this.state === undefined ? place.hasher.init() : place.hasher.load(this.state);
  }
  update(bytes) { this.mine().update(bytes); }
  finish() {
    const result = this.mine().digest("binary");
    this.place.user = undefined;
    return result;
  }
  abort() { if (this.place.user === this) this.place.user = undefined; }
}

class OpensslHash {
  constructor(algorithm) { this.hash = createHash(algorithm); }
  update(bytes) { this.hash.update(bytes); }
  finish() { return new Uint8Array(this.hash.digest()); }
}

function start(algorithm) {
  if (algorithm === "crc32") return new ZlibCrc();
  if (algorithm === "crc32c" || algorithm === "crc64nvme") return new WasmCrc(shared[algorithm]);
  return new OpensslHash(algorithm);
}

function take({ id, algorithms, slab, memory, size, end }) {
  if (algorithms !== undefined) open.set(id, algorithms.map(start));
  const running = open.get(id);
  if (slab !== undefined) {
    if (end !== "abort") for (const one of running) one.update(new Uint8Array(memory, 0, size));
    parentPort.postMessage({ id, slab });
  }
  if (end === undefined) return;
  open.delete(id);
  if (end === "finish") parentPort.postMessage({ id, results: running.map((one) => one.finish()) });
  else for (const one of running) one.abort?.();
}

Promise.all([createCRC32(workerData.crc32c), createCRC64(workerData.crc64nvme)]).then(([crc32c, crc64nvme]) => {
  shared = { crc32c: { hasher: crc32c }, crc64nvme: { hasher: crc64nvme } };
  parentPort.on("message", take);
});
`;
