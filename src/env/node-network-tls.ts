/**
 * TLS between peers that have a key together: TLS-PSK (RFC 4279, RFC 8442) through node:tls, without certificates.
 *
 * Node documents for it: `pskCallback` on both sides, callbacks that answer at once, ciphers named by hand because those
 * with a PSK are off by default, a `checkServerIdentity` of one's own because there is no certificate to look at, and no
 * identity hint in TLS 1.3. The one cipher suite has an ephemeral key exchange: who learns the key later cannot read what
 * he recorded. OpenSSL has no suite with ECDHE, PSK and AES-GCM; with DHE it has, but a handshake costs 3 to 15 times as
 * much then, by the version of Node.
 *
 * TLS runs on the system's socket itself: through a Duplex that looks at what passes it costs twice as much. So a
 * connection that was cut (a FIN without TLS's own goodbye, close_notify) ends as any other does: Node tells of both by
 * the same `end`. Nothing that is said over such a connection is over because the connection is.
 */
import { constants } from "node:crypto";
import type net from "node:net";
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

const alertRecord = 21;
const handshakeRecord = 22;

/** A TLS connection whose two ends have proved that they have the key. */
export interface SecureSocket {
  readonly socket: tls.TLSSocket;
  readonly system: net.Socket;
}

type Done = (result: SecureSocket | Error) => void;

/**
 * Calls `done` once: at once when the handshake is done, or when the refused connection is closed. A tls.Server for each
 * connection, because it does not tell which socket a connection that it was given came by; it listens nowhere.
 */
export function secureAccepted(system: net.Socket, secret: PeerSecret, timeoutMs: number, done: Done): void {
  let identity: string | undefined;
  let isPlain = false;
  const server = tls.createServer({
    ...suite,
    pskIdentityHint: secret.identity,
    // Null is answered by the alert unknown_psk_identity.
    pskCallback: (_socket, named) => {
      identity = named;
      return named === secret.identity ? secret.key : null;
    },
  });
  // Who speaks no TLS is told so: until something has come, the socket is not TLS's.
  const begin = (chunk: Buffer): void => {
    system.pause().off("end", ended);
    isPlain = chunk[0] !== handshakeRecord && chunk[0] !== alertRecord;
    if (isPlain) return settle(new Error("not TLS"));
    system.unshift(chunk);
    // Whoever ends within the handshake has no more to say.
    system.allowHalfOpen = false;
    server.emit("connection", system);
  };
  const ended = (): void => settle(new Error("the connection ended"));
  const settle = shakeHands(system, timeoutMs, (result) => {
    if (!(result instanceof Error)) return done(result);
    system.off("data", begin).off("end", ended);
    const refused = new StoreError("WRONG_KEY", whyRefused(result, isPlain, identity, secret), { cause: result });
    if (isPlain || (system.bytesRead === 0 && !system.readableEnded)) tellPlain(system);
    else system.destroy();
    if (system.closed) done(refused);
    else system.once("close", () => done(refused));
  });
  server.on("secureConnection", settle).on("tlsClientError", (error) => settle(error));
  system.once("data", begin).once("end", ended).resume();
}

/** `system` is connected to `where`. */
export function secureConnected(
  system: net.Socket,
  { secret, where, timeoutMs }: { secret: PeerSecret; where: string; timeoutMs: number },
  done: Done,
): void {
  let hint: string | null = null;
  const settle = shakeHands(system, timeoutMs, (result) => {
    if (!(result instanceof Error)) return done(result);
    system.destroy();
    done(whyNotConnected(result, system.bytesRead > 0, hint, secret, where));
  });
  const socket = tls.connect({
    ...suite,
    socket: system,
    checkServerIdentity: () => undefined,
    pskCallback: (named) => {
      hint = named;
      return { psk: secret.key, identity: secret.identity };
    },
  });
  socket.on("secureConnect", () => settle(socket)).on("error", (error) => settle(error));
}

class HandshakeTimeout extends Error {}

/** Whatever goes wrong first is told, and none of it ends the process. Returns who is to be told of what TLS says. */
function shakeHands(system: net.Socket, timeoutMs: number, done: Done): (result: tls.TLSSocket | Error) => void {
  let settled = false;
  const settle = (result: tls.TLSSocket | Error): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (result instanceof Error) return done(result);
    const socket = result;
    socket.allowHalfOpen = true;
    // Node only tells of what TLS finds wrong later on.
    socket.on("error", () => socket.destroy());
    done({ socket, system });
  };
  const timer = setTimeout(() => settle(new HandshakeTimeout(`no TLS handshake within ${timeoutMs} ms`)), timeoutMs);
  system.on("error", settle).once("close", () => settle(new Error("the connection ended")));
  return settle;
}

function whyRefused(error: Error, isPlain: boolean, identity: string | undefined, secret: PeerSecret): string {
  if (isPlain) return "it does not speak TLS: is --peer-tls set there?";
  if (error instanceof HandshakeTimeout) return error.message;
  if (identity === undefined) return `the TLS handshake failed: ${reasonOf(error)}`;
  if (identity === secret.identity) return `it has another key, or bytes changed under way: ${reasonOf(error)}`;
  return `it has another key: ${shown(identity)}, here ${secret.identity}`;
}

function whyNotConnected(
  error: Error,
  heard: boolean,
  hint: string | null,
  secret: PeerSecret,
  where: string,
): StoreError {
  const cause = { cause: error };
  if (hint !== null && hint !== secret.identity) {
    const message = `${where} has another key: here ${secret.identity}, there ${shown(hint)}`;
    return new StoreError("WRONG_KEY", message, cause);
  }
  if (error instanceof HandshakeTimeout && heard) {
    return new StoreError("UNAVAILABLE", `${where}: ${error.message}`, cause);
  }
  if (!heard || (hint === null && isNoRecord(error))) {
    return new StoreError("UNAVAILABLE", `${where} does not speak TLS: is --peer-tls set there?`, cause);
  }
  // The key is needed from here on: a peer that has the same one has no reason to complain.
  const code = hint === null ? "UNAVAILABLE" : "WRONG_KEY";
  const what = hint === null ? "cannot be reached over TLS" : "does not accept this key, or bytes changed under way";
  return new StoreError(code, `${where} ${what}: ${reasonOf(error)}`, cause);
}

/** What OpenSSL says, by its version, of an answer that is no record of TLS. */
const noRecordCodes = ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG"];

function isNoRecord(error: Error): boolean {
  return noRecordCodes.includes((error as { code?: string }).code ?? "");
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
