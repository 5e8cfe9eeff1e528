/**
 * Requests and answers: what is asked of a putter on tcp/5000 and of a router on tcp/5002, besides the permanent ticket
 * frames. Byte-exact in docs/formats/wire.md.
 *
 *   Request   0 operation 8 · 8 a 8 · 16 b 8 · 24 c 8 · 32 body size 4 · 36 number 4 · 40 body mac 8 · 48 mac 8   = 56
 *   Answer    0 number 4 · 4 kind 1 · 5 zero 3 · 8 TicketID, or body mac, 8 · 16 count 4 · 20 skip 4 · 24 take 4
 *             · 28 body size 4 · 32 mac 8                                                                        = 40
 *
 * A connection that begins with the operation `hello` carries requests and nothing else. Each frame's mac is SipHash-2-4
 * under the shared key over the session's 16 random bytes (8 from either side) and the frame before the mac; numbers
 * rise, so that nothing can be replayed. `hello` itself is authenticated without a session.
 */
import { StoreError } from "../core/errors.ts";
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import { readId, type TicketId, writeId } from "../core/ids.ts";
import type { Kernel } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";

export const requestSize = 56;
export const answerSize = 40;
export const protocolVersion = 1;
const operationSize = 8;
const requestMacAt = 48;
const answerMacAt = 32;
const answerBodyMacAt = 8;

/** Random bytes of both sides; before `hello` is answered there are none. */
export type Session = Uint8Array;
export const noSession: Session = new Uint8Array(0);

export interface Request {
  /** 1 to 8 lower-case letters. */
  readonly operation: string;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly number: number;
  readonly bodySize: number;
  readonly bodyMac: Uint8Array;
}

export type Answer =
  /** A JSON value. A request is answered by any number of these and of tickets, then by an end or an error. */
  | { readonly kind: "json"; readonly number: number; readonly size: number; readonly bodyMac: Uint8Array }
  /** Tickets as stored; of their Data `take` bytes from `skip` on belong to what was asked for. */
  | ({ readonly kind: "tickets"; readonly number: number; readonly size: number } & TicketsAnswer)
  /** `{ code, message }`: nothing more comes, and what came is not the whole. */
  | { readonly kind: "error"; readonly number: number; readonly size: number; readonly bodyMac: Uint8Array }
  /** Nothing more comes, and what came is the whole. */
  | { readonly kind: "end"; readonly number: number; readonly size: 0 };

export interface TicketsAnswer {
  readonly first: TicketId;
  readonly count: number;
  readonly skip: number;
  readonly take: number;
}

const kinds = { json: 0x6a, tickets: 0x74, error: 0x65, end: 0x7a } as const;
const noBodyMac = new Uint8Array(checksumSize);

/** Whether these first bytes of a connection can be (`undefined`: not yet known) a `hello` request. */
export function beginsRequests(bytes: Uint8Array): boolean | undefined {
  const hello = "hello\0\0\0";
  for (let index = 0; index < Math.min(bytes.length, operationSize); index++) {
    if (bytes[index] !== hello.charCodeAt(index)) return false;
  }
  return bytes.length >= operationSize ? true : undefined;
}

/** Whether a client wants to speak TLS: it begins with a ClientHello (RFC 8446, 5.1 and 4), which begins no TicketID. */
export function beginsTls(bytes: Uint8Array): boolean {
  return bytes[0] === 22 && bytes[1] === 3 && bytes[5] === 1;
}

export function encodeRequest(
  kernel: Kernel,
  session: Session,
  request: { operation: string; a?: number; b?: number; c?: number; number: number },
  body: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(requestSize + body.length);
  const view = new DataView(frame.buffer);
  for (let index = 0; index < request.operation.length; index++) frame[index] = request.operation.charCodeAt(index);
  view.setBigUint64(8, BigInt(request.a ?? 0));
  view.setBigUint64(16, BigInt(request.b ?? 0));
  view.setBigUint64(24, BigInt(request.c ?? 0));
  view.setUint32(32, body.length);
  view.setUint32(36, request.number);
  if (body.length > 0) frame.set(kernel.macLong(body), 40);
  frame.set(macOf(kernel, session, frame.subarray(0, requestMacAt)), requestMacAt);
  frame.set(body, requestSize);
  return frame;
}

/** WRONG_KEY where the mac is not right, PROTOCOL where the frame breaks a rule. */
export function decodeRequest(kernel: Kernel, session: Session, frame: Uint8Array): Request {
  const mac = macOf(kernel, session, frame.subarray(0, requestMacAt));
  if (!sameBytes(mac, frame.subarray(requestMacAt, requestSize))) {
    throw new StoreError("WRONG_KEY", "the request is not authenticated by this store's key");
  }
  const view = new DataView(frame.buffer, frame.byteOffset, requestSize);
  const operation = Buffer.from(frame.subarray(0, operationSize)).toString("latin1").replace(/\0+$/, "");
  const bodySize = view.getUint32(32);
  if (bodySize > limits.messageSizeMax) {
    throw new StoreError("PROTOCOL", `body size: at most ${limits.messageSizeMax}, not ${bodySize}`);
  }
  return {
    operation,
    a: safeNumber("a", view.getBigUint64(8)),
    b: safeNumber("b", view.getBigUint64(16)),
    c: safeNumber("c", view.getBigUint64(24)),
    number: view.getUint32(36),
    bodySize,
    bodyMac: frame.slice(40, 48),
  };
}

export function checkBody(kernel: Kernel, request: Request, body: Uint8Array): void {
  if (!sameBytes(body.length === 0 ? noBodyMac : kernel.macLong(body), request.bodyMac)) {
    throw new StoreError("WRONG_KEY", "the request's body is not authenticated by this store's key");
  }
}

export function encodeJsonAnswer(
  kernel: Kernel,
  session: Session,
  kind: "json" | "error",
  number: number,
  value: unknown,
): Uint8Array {
  const body = new Uint8Array(Buffer.from(JSON.stringify(value)));
  const frame = new Uint8Array(answerSize + body.length);
  writeAnswerHead(frame, kind, number, body.length);
  frame.set(kernel.macLong(body), answerBodyMacAt);
  frame.set(macOf(kernel, session, frame.subarray(0, answerMacAt)), answerMacAt);
  frame.set(body, answerSize);
  return frame;
}

/** The JSON of an answer's body. `bodyMac` comes from its head, so that no body can stand in for another one. */
export function decodeJsonBody(kernel: Kernel, bodyMac: Uint8Array, body: Uint8Array): unknown {
  if (!sameBytes(kernel.macLong(body), bodyMac)) {
    throw new StoreError("PROTOCOL", "an answer's body is not authenticated");
  }
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"));
  } catch (cause) {
    throw new StoreError("PROTOCOL", "an answer's body is not JSON", { cause });
  }
}

export function encodeTicketsHead(
  kernel: Kernel,
  session: Session,
  number: number,
  tickets: TicketsAnswer,
): Uint8Array {
  const frame = new Uint8Array(answerSize);
  const view = writeAnswerHead(frame, "tickets", number, tickets.count * (ticketDataSize + checksumSize));
  writeId(tickets.first, frame, 8);
  view.setUint32(16, tickets.count);
  view.setUint32(20, tickets.skip);
  view.setUint32(24, tickets.take);
  frame.set(macOf(kernel, session, frame.subarray(0, answerMacAt)), answerMacAt);
  return frame;
}

export function encodeEnd(kernel: Kernel, session: Session, number: number): Uint8Array {
  const frame = new Uint8Array(answerSize);
  writeAnswerHead(frame, "end", number, 0);
  frame.set(macOf(kernel, session, frame.subarray(0, answerMacAt)), answerMacAt);
  return frame;
}

export function decodeAnswer(kernel: Kernel, session: Session, frame: Uint8Array): Answer {
  if (!sameBytes(macOf(kernel, session, frame.subarray(0, answerMacAt)), frame.subarray(answerMacAt, answerSize))) {
    throw new StoreError("WRONG_KEY", "the answer is not authenticated by this key");
  }
  const view = new DataView(frame.buffer, frame.byteOffset, answerSize);
  const number = view.getUint32(0);
  const size = view.getUint32(28);
  if (size > limits.messageSizeMax) {
    throw new StoreError("PROTOCOL", `answer size: at most ${limits.messageSizeMax}, not ${size}`);
  }
  const bodyMac = frame.slice(answerBodyMacAt, answerBodyMacAt + checksumSize);
  switch (frame[4]!) {
    case kinds.json:
      return { kind: "json", number, size, bodyMac };
    case kinds.error:
      return { kind: "error", number, size, bodyMac };
    case kinds.end:
      return { kind: "end", number, size: 0 };
    case kinds.tickets: {
      const first = readId<TicketId>(frame, 8);
      if (first === undefined) throw new StoreError("PROTOCOL", "an answer's first ticket is no TicketID");
      const [count, skip, take] = [view.getUint32(16), view.getUint32(20), view.getUint32(24)];
      if (size !== count * (ticketDataSize + checksumSize) || skip + take > count * ticketDataSize) {
        throw new StoreError("PROTOCOL", `an answer of ${count} tickets says ${size} bytes, ${skip} + ${take} to use`);
      }
      return { kind: "tickets", number, size, first, count, skip, take };
    }
    default:
      throw new StoreError("PROTOCOL", `answer kind ${frame[4]!} is not known`);
  }
}

function writeAnswerHead(frame: Uint8Array, kind: Answer["kind"], number: number, size: number): DataView {
  const view = new DataView(frame.buffer);
  view.setUint32(0, number);
  frame[4] = kinds[kind];
  view.setUint32(28, size);
  return view;
}

function macOf(kernel: Kernel, session: Session, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(session.length + bytes.length);
  message.set(session);
  message.set(bytes, session.length);
  return kernel.mac(message);
}

/** In time that does not depend on where they differ. */
function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let index = 0; index < one.length; index++) difference |= (one[index] ?? 0) ^ (other[index] ?? 0);
  return difference === 0;
}

function safeNumber(name: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new StoreError("PROTOCOL", `${name}: at most ${Number.MAX_SAFE_INTEGER}, not ${value}`);
  }
  return Number(value);
}
