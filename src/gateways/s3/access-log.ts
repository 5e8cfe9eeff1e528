/** One record for each request. Nothing secret is in it: no query, no headers. */
export interface AccessRecord {
  /** Milliseconds since 1970 at which the answer was known. */
  readonly time: number;
  readonly requestId: string;
  readonly peer: string;
  /** undefined: nobody known. */
  readonly user: string | undefined;
  /** As AWS calls it; `unknown` where the request names none. */
  readonly operation: string;
  readonly method: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  readonly status: number;
  /** Of an error. */
  readonly code: string | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly milliseconds: number;
}

export type AccessLog = (record: AccessRecord) => void;

/** One JSON line for each request, to wherever `write` puts lines. */
export function accessLogTo(write: (line: string) => void): AccessLog {
  return ({ time, milliseconds, ...record }) => {
    // What is undefined is left out.
    write(
      JSON.stringify({ time: new Date(time).toISOString(), ...record, ms: Math.round(milliseconds * 1000) / 1000 }),
    );
  };
}
