/**
 * What makes the load: S3 requests that are built and signed by `prepare…`, then sent by `run` over connections that
 * stay open, one request at a time on each. Every status is looked at, every body that is read is compared whole.
 */
import { createHash, hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { answer } from "../support/answer.mjs";
import { HttpConnection } from "../support/http-connection.mjs";
import { signedHead } from "../support/signature.mjs";

/** Small bodies are slices of one pool: 64 different ones, so that each digest is made once. */
const pool = randomBytes(64 * 1024);
const distinctBodies = 64;
const digests = new Map();
const chunkSize = 64 * 1024;

/** { port, host, access } */
let server;
let requests = [];
const connections = new Map();
let large;

answer({
  /** From here on requests go to this server. */
  use: ({ port, access }) => {
    server = { port, host: `127.0.0.1:${port}`, access };
  },
  /** One request by itself. */
  request: async ({ method, path, query, headers, body, status = 200 }) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const size = bytes?.length ?? (method === "GET" ? undefined : 0);
    const head = sign({ method, path, query, headers, payload: hash("sha256", bytes ?? ""), size });
    const [connection] = await connected(1);
    return (await connection.send({ head, body: bytes, status })).body?.toString();
  },
  preparePut: ({ bucket, prefix, count, size, status = 200 }) => {
    requests = Array.from({ length: count }, (_, index) => {
      const { body, digest } = smallBody(index, size);
      const path = `/${bucket}/${keyOf(prefix, index)}`;
      const headers = { "content-type": "application/octet-stream" };
      return { head: sign({ method: "PUT", path, headers, payload: digest, size }), body, status };
    });
  },
  /** Objects that `preparePut` with the same arguments stored, each read once, in an order of chance. */
  prepareGet: ({ bucket, prefix, count, size }) => {
    const payload = hash("sha256", "");
    const all = Array.from({ length: count }, (_, index) => {
      const path = `/${bucket}/${keyOf(prefix, index)}`;
      return { head: sign({ method: "GET", path, payload }), expected: smallBody(index, size).body, status: 200 };
    });
    requests = shuffled(all);
  },
  /** `mode`: unsigned, sha256 (in the head), trailer (aws-chunked with a CRC32 at the end, unsigned). */
  prepareLargePut: ({ bucket, prefix, count, size, mode, status = 200 }) => {
    const { encoded, payload, headers, body, etag } = largeBody(size, mode);
    requests = Array.from({ length: count }, (_, index) => ({
      head: sign({
        method: "PUT",
        path: `/${bucket}/${keyOf(prefix, index)}`,
        headers: { "content-type": "application/octet-stream", ...headers },
        payload,
        size: (encoded ?? body).length,
      }),
      body: encoded ?? body,
      status,
      check: (_, head) => {
        const told = /\r\netag: *"([^"]*)"/i.exec(head)?.[1];
        if (told !== undefined && told !== etag) throw new Error(`the ETag is ${told} and not ${etag}`);
      },
    }));
  },
  prepareLargeGet: ({ bucket, prefix, count, size }) => {
    const { body } = largeBody(size, "unsigned");
    requests = Array.from({ length: count }, (_, index) => ({
      head: sign({ method: "GET", path: `/${bucket}/${keyOf(prefix, index)}`, payload: hash("sha256", "") }),
      expected: body,
      status: 200,
    }));
  },
  /** Pages of `limit` keys, each after a key at random. Keys are those of programs/s3-fill.mjs or of preparePut. */
  prepareList: ({ bucket, prefix, count, pages, limit, kind }) => {
    const marker = kind === "versions" ? "key-marker" : "start-after";
    requests = Array.from({ length: pages }, () => {
      const start = Math.floor(Math.random() * (count - limit + 1));
      const query = [
        kind === "versions" ? ["versions", ""] : ["list-type", "2"],
        ["encoding-type", "url"],
        ["max-keys", String(limit)],
        ...(start === 0 ? [] : [[marker, keyOf(prefix, start - 1)]]),
      ];
      const head = sign({ method: "GET", path: `/${bucket}`, query, payload: hash("sha256", "") });
      return { head, status: 200, check: (body) => checkPage(body, keyOf(prefix, start), limit) };
    });
  },
  /** What preparePut stored, `limit` of them in a request. */
  prepareDelete: ({ bucket, prefix, count, limit }) => {
    requests = Array.from({ length: Math.ceil(count / limit) }, (_, page) => {
      const first = page * limit;
      const number = Math.min(limit, count - first);
      const objects = Array.from({ length: number }, (_, index) => {
        return `<Object><Key>${keyOf(prefix, first + index)}</Key></Object>`;
      });
      const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/";
      const body = Buffer.from(`<Delete xmlns="${xmlns}">${objects.join("")}</Delete>`);
      const headers = { "content-type": "application/xml", "content-md5": hash("md5", body, "base64") };
      const query = [["delete", ""]];
      const payload = hash("sha256", body);
      const head = sign({ method: "POST", path: `/${bucket}`, query, headers, payload, size: body.length });
      return { head, body, status: 200, check: (answered) => requireCount(answered, "<Deleted>", number) };
    });
  },
  /** Sends what was prepared; seconds by the clock, from the first byte to the last answer. */
  run: async ({ connections: count }) => {
    const open = await connected(count);
    const queue = requests;
    requests = [];
    let next = 0;
    const startedAt = performance.now();
    await Promise.all(
      open.map(async (connection) => {
        for (let index = next++; index < queue.length; index = next++) await connection.send(queue[index]);
      }),
    );
    return { seconds: (performance.now() - startedAt) / 1000, count: queue.length };
  },
  disconnect: () => {
    for (const list of connections.values()) for (const connection of list) connection.close();
    connections.clear();
  },
  /** The digest alone, of the bytes of a large object, in pieces as they come out of sockets; seconds. */
  digest: ({ algorithm, size, count }) => {
    const { body } = largeBody(size, "unsigned");
    const before = process.cpuUsage();
    const startedAt = performance.now();
    for (let round = 0; round < count; round++) {
      const digest = createHash(algorithm);
      for (let at = 0; at < size; at += chunkSize) digest.update(body.subarray(at, at + chunkSize));
      digest.digest("hex");
    }
    const { user, system } = process.cpuUsage(before);
    return { seconds: (performance.now() - startedAt) / 1000, cpu: (user + system) / 1e6, count };
  },
  close: () => {},
});

async function connected(count) {
  const open = (connections.get(server.port) ?? []).filter(({ closed }) => !closed);
  connections.set(server.port, open);
  while (open.length < count) open.push(await HttpConnection.open(server.port));
  return open.slice(0, count);
}

function sign(request) {
  return signedHead({ ...request, host: server.host, access: server.access });
}

function keyOf(prefix, index) {
  return `${prefix}${String(index).padStart(9, "0")}`;
}

function smallBody(index, size) {
  const number = index % distinctBodies;
  const body = pool.subarray(number * 256, number * 256 + size);
  const name = `${number} ${size}`;
  if (!digests.has(name)) digests.set(name, hash("sha256", body));
  return { body, digest: digests.get(name) };
}

/** The same bytes for the whole life of this process; what a mode adds to them is made once. */
function largeBody(size, mode) {
  if (large?.body.length !== size) {
    const body = randomBytes(size);
    large = { body, etag: hash("md5", body), modes: new Map() };
  }
  if (!large.modes.has(mode)) large.modes.set(mode, modeOf[mode](large.body));
  return { ...large, ...large.modes.get(mode) };
}

const modeOf = {
  unsigned: () => ({ payload: "UNSIGNED-PAYLOAD", headers: {} }),
  sha256: (body) => ({ payload: hash("sha256", body), headers: {} }),
  trailer: (body) => ({
    payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    headers: {
      "content-encoding": "aws-chunked",
      "x-amz-decoded-content-length": String(body.length),
      "x-amz-sdk-checksum-algorithm": "CRC32",
      "x-amz-trailer": "x-amz-checksum-crc32",
    },
    encoded: inChunks(body),
  }),
};

function inChunks(body) {
  const parts = [];
  for (let at = 0; at < body.length; at += chunkSize) {
    const chunk = body.subarray(at, at + chunkSize);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  parts.push(Buffer.from(`0\r\nx-amz-checksum-crc32:${sum.toString("base64")}\r\n\r\n`));
  return Buffer.concat(parts);
}

function checkPage(body, first, limit) {
  requireCount(body, "<Key>", limit);
  const key = /<Key>([^<]*)<\/Key>/.exec(body.latin1Slice(0, 2_000))?.[1];
  if (decodeURIComponent(key ?? "") !== first) throw new Error(`a page begins with ${key} and not ${first}`);
}

function requireCount(body, text, count) {
  let found = 0;
  for (let at = body.indexOf(text); at >= 0; at = body.indexOf(text, at + text.length)) found++;
  if (found !== count) throw new Error(`${text} ${found} times instead of ${count}: ${body.latin1Slice(0, 500)}`);
}

function shuffled(list) {
  for (let index = list.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [list[index], list[other]] = [list[other], list[index]];
  }
  return list;
}
