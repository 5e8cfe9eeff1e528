/**
 * The one error class. A code says what kind of failure it is (callers branch on it), the message says what and why for
 * a person, and `cause` keeps what lies beneath. Absence is not an error: it is `undefined`.
 */
export type ErrorCode =
  /** Input broke a rule; the message names field, rule and value. */
  | "INVALID"
  /** Stored bytes do not verify, or are gone, although metadata says that they must be there. */
  | "DAMAGED"
  /** The disk (or the id space) is full. */
  | "NO_SPACE"
  /** A limit on concurrency or memory was reached; sending again later can work. */
  | "BUSY"
  /** The other side refuses this key. */
  | "WRONG_KEY"
  /** A peer, the disk or the datastore does not answer or answered with a failure. */
  | "UNAVAILABLE"
  /** The named thing does not exist. */
  | "NOT_FOUND"
  /** A condition on the current state did not hold, or something exists already. */
  | "CONFLICT"
  /** Data directory or datastore was made by another version, depth or process. */
  | "INCOMPATIBLE"
  /** The other side broke the protocol. */
  | "PROTOCOL"
  /** The operation was cancelled or the process is closing. */
  | "ABORTED";

const errorCodes: { readonly [Code in ErrorCode]: true } = {
  INVALID: true,
  DAMAGED: true,
  NO_SPACE: true,
  BUSY: true,
  WRONG_KEY: true,
  UNAVAILABLE: true,
  NOT_FOUND: true,
  CONFLICT: true,
  INCOMPATIBLE: true,
  PROTOCOL: true,
  ABORTED: true,
};

/** For a code that came from elsewhere. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

export class StoreError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}

/** A bug, never input: stays on in production. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** The text of anything thrown, for messages and logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
