/**
 * HTTP as gateways see it: a request comes in, an answer is returned. What a gateway knows of the connection is here and
 * nothing else, so that the server below it (node-http.ts) can be another one.
 */
import type { Clock, Log } from "./host.ts";

export interface HttpRequest {
  readonly method: string;
  /** Path and query as sent, percent-encoding and all. */
  readonly target: string;
  /** Names in lower case; values of a repeated header joined by ",". Each character is one byte, as HTTP has them. */
  readonly headers: HttpHeaders;
  /** The client's address. */
  readonly peer: string;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  readonly body: HttpBody;
}

export type HttpHeaders = { readonly [name: string]: string | undefined };

export interface HttpBody {
  /** As `content-length` says; 0 where there is no body; undefined where it is not announced (chunked). */
  readonly size: number | undefined;
  /**
   * Hands over the body piece by piece, in order; where `take` returns a promise, the client waits until it resolves.
   * Resolves at the end of the body. ABORTED where the client vanished before it or was too slow, INVALID where its
   * framing is broken (bad chunks); what `take` throws comes through. A client that waits for "100 Continue" gets it here. At most one call. A piece is
   * valid during the call of `take` only: who needs it longer, also while its promise is not resolved, copies it.
   */
  read(take: (piece: Uint8Array) => void | Promise<void>): Promise<void>;
}

export interface HttpAnswer {
  readonly status: number;
  /** Written as they are; each character is one byte. `content-length` is added from the body where it is not there. */
  readonly headers: { readonly [name: string]: string | number };
  /** Not sent in answer to HEAD; the headers then say what it would be. */
  readonly body?: string | Uint8Array | HttpStream;
}

/** A body that is made while it is sent. */
export interface HttpStream {
  readonly size: number;
  /**
   * Pieces in order. A client that goes away ends the iteration (`return`); an error, or fewer bytes than `size`, cuts
   * the connection, so that the client cannot take what it got for all.
   */
  readonly pieces: AsyncIterable<HttpPiece>;
}

export interface HttpPiece {
  readonly bytes: Uint8Array;
  /** Called when the bytes have gone and may be overwritten. */
  release(): void;
}

/** Never rejects: errors are answers too. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpAnswer>;

/** A server that takes requests. */
export interface HttpListener {
  readonly port: number;
  readonly connectionCount: number;
  /** Takes no further requests; those under way come to their end, for a while. */
  close(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** PEM files, read again when they change. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly limits?: Partial<HttpLimits>;
  /** Makes the answer to what the handler never sees, in the gateway's own words; a line of text where it is not there. */
  readonly refuse?: (refusal: HttpRefusal) => HttpAnswer;
  readonly log: Log;
  /** For timeouts; the machine's where it is not there. */
  readonly clock?: Clock;
}

/** Why a request does not reach the handler, with the status that says so. */
export interface HttpRefusal {
  readonly reason:
    | "busy"
    | "malformed"
    | "header too large"
    | "header too slow"
    | "expectation"
    | "transfer encoding"
    | "method"
    | "failure";
  readonly status: 400 | 405 | 408 | 417 | 431 | 500 | 501 | 503;
  readonly message: string;
}

/** Each has a default of the same meaning in core/limits.ts. */
export interface HttpLimits {
  readonly connectionsMax: number;
  /** 0: as many as there are. */
  readonly connectionsPerPeerMax: number;
  /** Under way at a time; further ones are refused as busy. */
  readonly requestsMax: number;
  /** On one connection, which is then closed. */
  readonly requestsPerConnectionMax: number;
  readonly headerTimeoutMs: number;
  readonly headerSizeMax: number;
  readonly bodyIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly writeStallMs: number;
  /** For a body that nobody reads after its answer, before the connection is cut. */
  readonly unreadTimeoutMs: number;
  readonly unreadSizeMax: number;
  /** For what is under way when the server closes. */
  readonly drainTimeoutMs: number;
}

/** Whoever made the answer has logged what cut it off, and said more (`isTold` of the error). */
export function isTold(error: unknown): boolean {
  return error instanceof Error && "isTold" in error && error.isTold === true;
}
