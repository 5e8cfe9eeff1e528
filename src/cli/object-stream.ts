/** The client of tcp/5001: bytes in, half-close, one line back. */
import net from "node:net";
import { formatAddress, type Address } from "../core/address.ts";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import { unreachable } from "../wire/request-client.ts";

/** More than any answer has. */
const answerSizeMax = 4096;

/**
 * Stores the bytes of `source` as one object and resolves to its id. Whatever goes wrong in `source` cuts the
 * connection off (a reset, not an end: an end would say that this was all of the object).
 */
export async function streamObject(
  address: Address,
  source: AsyncIterable<Uint8Array>,
  onSent: (size: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const where = formatAddress(address);
  const socket = await connect(address, where);
  const answer = readAnswer(socket);
  const stop = (): void => void socket.resetAndDestroy();
  signal.addEventListener("abort", stop, { once: true });
  const chunks = source[Symbol.asyncIterator]();
  let whole = false;
  try {
    for (let sent = 0; ;) {
      // The source may be a person at a keyboard: the answer, or the wish to stop, does not wait for it.
      const next = await Promise.race([chunks.next(), answer.then(() => undefined)]);
      if (next === undefined) break;
      if (next.done === true) {
        whole = true;
        socket.end();
        break;
      }
      await write(socket, next.value);
      onSent((sent += next.value.length));
    }
    return outcomeOf(await answer, where, signal, whole);
  } finally {
    signal.removeEventListener("abort", stop);
    // Not waited for: it ends only after the chunk that it may still wait for.
    chunks.return?.().catch(() => undefined);
    if (whole) socket.destroy();
    else socket.resetAndDestroy();
  }
}

function connect(address: Address, where: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...address, noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no answer within ${limits.connectTimeoutMs} ms`));
    }, limits.connectTimeoutMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(unreachable(where, error));
    });
  });
}

/** All that the other side said, and why there is no more where that is not simply its end. */
interface Answer {
  readonly said: string;
  readonly error: Error | undefined;
}

function readAnswer(socket: net.Socket): Promise<Answer> {
  let said = "";
  let error: Error | undefined;
  return new Promise((resolve) => {
    const settle = (): void => resolve({ said, error });
    socket.on("data", (chunk) => {
      said = (said + chunk.toString("latin1")).slice(0, answerSizeMax);
      // The line is the whole answer; the router may be long in closing.
      if (said.includes("\n")) settle();
    });
    socket.on("error", (thrown) => (error = thrown));
    socket.on("end", settle);
    socket.on("close", settle);
  });
}

/** Resolves when the system has taken the bytes, or never will: the answer tells why. */
function write(socket: net.Socket, chunk: Uint8Array): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => socket.write(chunk, () => resolve()));
}

function outcomeOf({ said, error }: Answer, where: string, signal: AbortSignal, whole: boolean): string {
  const object = /^OBJECT ([0-9A-Z]{1,8}) WRITTEN OK\n/.exec(said)?.[1];
  if (object !== undefined && whole) return object;
  if (object !== undefined) throw new StoreError("PROTOCOL", `${where} said that it is stored before all was sent`);
  const reason = /^ERROR (.*)\n/.exec(said)?.[1];
  if (reason !== undefined)
    throw new StoreError("ABORTED", `${where} did not store it: ${reason.replace(/[^ -~]/g, "?")}`);
  if (signal.aborted) throw new StoreError("ABORTED", "stopped before the end; nothing is stored of it");
  if (said !== "") throw new StoreError("PROTOCOL", `${where} did not answer as a router does: is it the right port?`);
  const why = error === undefined ? "" : ` (${messageOf(error)})`;
  throw new StoreError(
    "UNAVAILABLE",
    `${where} ended the connection without an answer${why}: it is not stored, or nobody knows`,
    {
      cause: error,
    },
  );
}
