/**
 * HTTP as gateways see it: a request comes in, an answer is returned. What a gateway knows of the connection is here and
 * nothing else, so that the server below it (node-http.ts) can be another one.
 */

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
   * Resolves at the end of the body. ABORTED where the client vanished before it or was too slow; what `take` throws
   * comes through. A client that waits for "100 Continue" gets it here. At most one call. A piece is the taker's.
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
