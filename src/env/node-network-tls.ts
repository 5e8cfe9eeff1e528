/**
 * TLS between peers that have a key together: TLS-PSK (RFC 4279, RFC 8442) through node:tls, without certificates.
 *
 * Node documents for it: `pskCallback` on both sides, callbacks that answer at once, ciphers named by hand because those
 * with a PSK are off by default, a `checkServerIdentity` of one's own because there is no certificate to look at, and no
 * identity hint in TLS 1.3. The one cipher suite has an ephemeral key exchange: who learns the key later cannot read what
 * he recorded. OpenSSL has no suite with ECDHE, PSK and AES-GCM, and TLS 1.3 takes such keys by other rules than these.
 *
 * Node tells a connection that was cut (a FIN without TLS's own goodbye, close_notify) by the same `end` as one that
 * ended: who sits in between could shorten a stream. So TLS runs over a Duplex of ours instead of the socket itself, which
 * sees the records pass: only after a whole alert record, which OpenSSL has found genuine, is an end an end. That costs
 * one more copy; TLS over the socket itself encrypts a GB in 0.8 s of a core and decrypts one in 1.3, this way in 1.4 each.
 */
import { constants } from "node:crypto";
import type net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { PeerSecret } from "./host.ts";

/** What a client that speaks no TLS is told, whatever it speaks: as long as the head of an answer (docs/formats/wire.md). */
const plainRefusal = "ERROR this port takes TLS only: --peer-tls\n";

const suite = {
  ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
  // Every connection proves the key anew.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

const recordHeadSize = 5;
const alertRecord = 21;
const handshakeRecord = 22;

/** A TLS connection whose two ends have proved that they have the key. */
export interface SecureSocket {
  readonly socket: tls.TLSSocket;
  readonly system: net.Socket;
  /** What is told as the end is the end. */
  readonly wasCut: () => false;
}

type Done = (result: SecureSocket | Error) => void;

/**
 * Calls `done` once: at once when the handshake is done, or when the refused connection is closed. A tls.Server for each
 * connection, because it does not tell which Duplex a connection that it was given came by; it listens nowhere.
 */
export function secureAccepted(system: net.Socket, secret: PeerSecret, timeoutMs: number, done: Done): void {
  const transport = new Transport(system);
  let identity: string | undefined;
  const server = tls.createServer({
    ...suite,
    pskIdentityHint: secret.identity,
    // Null is answered by the alert unknown_psk_identity.
    pskCallback: (_socket, named) => {
      identity = named;
      return named === secret.identity ? secret.key : null;
    },
  });
  const settle = shakeHands(transport, timeoutMs, (result) => {
    if (!(result instanceof Error)) return done(result);
    const refused = new StoreError("WRONG_KEY", whyRefused(result, transport, identity, secret), { cause: result });
    if (transport.isPlain || (!transport.heard && !transport.hasEnded)) tellPlain(system);
    else system.destroy();
    if (system.closed) done(refused);
    else system.once("close", () => done(refused));
  });
  server.on("secureConnection", settle).on("tlsClientError", (error) => settle(error));
  server.emit("connection", transport);
}

/** `system` is connected to `where`. */
export function secureConnected(
  system: net.Socket,
  { secret, where, timeoutMs }: { secret: PeerSecret; where: string; timeoutMs: number },
  done: Done,
): void {
  const transport = new Transport(system);
  let hint: string | null = null;
  const socket = tls.connect({
    ...suite,
    socket: transport,
    allowHalfOpen: true,
    checkServerIdentity: () => undefined,
    pskCallback: (named) => {
      hint = named;
      return { psk: secret.key, identity: secret.identity };
    },
  } as tls.ConnectionOptions);
  const settle = shakeHands(transport, timeoutMs, (result) => {
    if (!(result instanceof Error)) return done(result);
    system.destroy();
    done(whyNotConnected(result, transport, hint, secret, where));
  });
  socket.on("secureConnect", () => settle(socket)).on("error", (error) => settle(error));
}

class HandshakeTimeout extends Error {}

/** Whatever goes wrong first is told, and none of it ends the process. Returns who is to be told of what TLS says. */
function shakeHands(transport: Transport, timeoutMs: number, done: Done): (result: tls.TLSSocket | Error) => void {
  let settled = false;
  const settle = (result: tls.TLSSocket | Error): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (result instanceof Error) {
      transport.destroy();
      return done(result);
    }
    const socket = result;
    // Node only tells of what TLS finds wrong later on.
    socket.on("error", () => socket.destroy());
    transport.on("error", (error) => socket.destroy(error));
    done({ socket, system: transport.system, wasCut: () => false });
  };
  const timer = setTimeout(() => settle(new HandshakeTimeout(`no TLS handshake within ${timeoutMs} ms`)), timeoutMs);
  transport.on("error", settle).once("close", () => settle(new Error("the connection ended")));
  transport.onPlain = () => settle(new Error("not TLS"));
  return settle;
}

function whyRefused(error: Error, transport: Transport, identity: string | undefined, secret: PeerSecret): string {
  if (transport.isPlain) return "it does not speak TLS: is --peer-tls set there?";
  if (error instanceof HandshakeTimeout) return error.message;
  if (identity === undefined) return `the TLS handshake failed: ${reasonOf(error)}`;
  if (identity === secret.identity) return `it has another key, or bytes changed under way: ${reasonOf(error)}`;
  return `it has another key: ${shown(identity)}, here ${secret.identity}`;
}

function whyNotConnected(
  error: Error,
  transport: Transport,
  hint: string | null,
  secret: PeerSecret,
  where: string,
): StoreError {
  const cause = { cause: error };
  if (hint !== null && hint !== secret.identity) {
    const message = `${where} has another key: here ${secret.identity}, there ${shown(hint)}`;
    return new StoreError("WRONG_KEY", message, cause);
  }
  if (error instanceof HandshakeTimeout && transport.heard) {
    return new StoreError("UNAVAILABLE", `${where}: ${error.message}`, cause);
  }
  if (transport.isPlain || !transport.heard) {
    return new StoreError("UNAVAILABLE", `${where} does not speak TLS: is --peer-tls set there?`, cause);
  }
  // The key is needed from here on: a peer that has the same one has no reason to complain.
  const code = hint === null ? "UNAVAILABLE" : "WRONG_KEY";
  const what = hint === null ? "cannot be reached over TLS" : "does not accept this key, or bytes changed under way";
  return new StoreError(code, `${where} ${what}: ${reasonOf(error)}`, cause);
}

/** OpenSSL's messages begin with addresses and files of its own. */
function reasonOf(error: Error): string {
  return (error as { reason?: string }).reason ?? messageOf(error);
}

/** What a stranger calls itself. */
function shown(identity: string): string {
  return JSON.stringify(identity.slice(0, 64).replace(/[^ -~]/g, "?"));
}

/** The last word to who speaks no TLS; given a moment to read it, because a reset would take it back. */
function tellPlain(system: net.Socket): void {
  system.on("error", () => undefined);
  const timer = setTimeout(() => system.destroy(), limits.tlsRefusalMs);
  system.once("close", () => clearTimeout(timer));
  system.once("end", () => system.destroy());
  system.end(plainRefusal);
  system.resume();
}

function cutError(): Error {
  return Object.assign(new Error("read ECONNRESET: cut without TLS's close_notify"), { code: "ECONNRESET" });
}

/** The system's socket as TLS has it, with an eye on the records that arrive. */
class Transport extends Duplex {
  readonly system: net.Socket;
  /** Anything has come; the end has. */
  heard = false;
  hasEnded = false;
  /** What came first is no record of TLS. */
  isPlain = false;
  onPlain: (() => void) | undefined;
  readonly #head = Buffer.alloc(recordHeadSize);
  #headSize = 0;
  #recordLeft = 0;

  constructor(system: net.Socket) {
    super({
      allowHalfOpen: true,
      // TLS would take its closing for a cut, and drop what it has decrypted and nobody has taken yet.
      autoDestroy: false,
      readableHighWaterMark: limits.tlsBufferSize,
      writableHighWaterMark: limits.tlsBufferSize,
    });
    this.system = system;
    system.on("data", (chunk) => this.#receive(chunk));
    system.on("end", () => {
      this.hasEnded = true;
      // After a goodbye TLS knows. Told of an end beneath it, it would drop what was not taken yet.
      if (!this.isPlain && !this.#saidGoodbye) this.destroy(cutError());
    });
    system.on("error", (error) => this.destroy(error));
    system.on("close", () => {
      if (!this.hasEnded) this.destroy(cutError());
    });
    system.pause();
  }

  /** The last thing that came is an alert, and whole. Had it not been genuine, OpenSSL had made it an error. */
  get #saidGoodbye(): boolean {
    return this.#head[0] === alertRecord && this.#headSize === recordHeadSize && this.#recordLeft === 0;
  }

  override _read(): void {
    this.system.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.system.write(chunk, done);
  }

  override _writev(pieces: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    this.system.cork();
    pieces.forEach(({ chunk }, index) => this.system.write(chunk, index === pieces.length - 1 ? done : undefined));
    this.system.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.system.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Who speaks no TLS is told so first.
    if (!this.isPlain && this.heard) this.system.destroy();
    done(error);
  }

  #receive(chunk: Buffer): void {
    if (this.isPlain || this.destroyed) return;
    if (!this.heard) {
      this.heard = true;
      this.isPlain = chunk[0] !== handshakeRecord && chunk[0] !== alertRecord;
      if (this.isPlain) return this.onPlain?.();
    }
    this.#follow(chunk);
    if (!this.push(chunk)) this.system.pause();
  }

  /** Where records begin: type, version, size. */
  #follow(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const skipped = Math.min(this.#recordLeft, chunk.length - at);
      at += skipped;
      this.#recordLeft -= skipped;
      if (at === chunk.length) return;
      if (this.#headSize === recordHeadSize) this.#headSize = 0;
      this.#head[this.#headSize++] = chunk[at++]!;
      if (this.#headSize === recordHeadSize) this.#recordLeft = this.#head.readUInt16BE(3);
    }
  }
}
