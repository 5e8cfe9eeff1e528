/**
 * The four seams between the store and the machine, plus a log. Everything above `env` is a function of a Host: no
 * module state, no timers, dates, random numbers, files or sockets but through it (a lint rule holds that). The product
 * plugs in Node (node-*.ts beside this file), the simulator a machine that fails on purpose.
 */
export interface Host {
  readonly disk: Disk;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

// ── disk ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Files by absolute path. What is assumed of a disk is in docs/formats/disk.md: in short, what `sync` or
 * `syncDirectory` has answered survives a power cut, and nothing else does. System errors come as they are, with their
 * `code` ("ENOSPC", "EROFS", …).
 */
export interface Disk {
  /** Opens an existing file for reading and writing; undefined where there is none. */
  open(path: string, mode: OpenMode): Promise<DiskFile | undefined>;
  /** Creates a file (or opens an existing one); tells which. The entry is durable after `syncDirectory`. */
  create(path: string): Promise<{ file: DiskFile; created: boolean }>;
  /** Makes one directory; false where it exists. */
  makeDirectory(path: string): Promise<boolean>;
  /** Makes the entries of a directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Names in a directory; undefined where there is none. */
  list(path: string): Promise<string[] | undefined>;
  /** False where there is none. */
  unlink(path: string): Promise<boolean>;
  /** Removes an empty directory; false where it is not empty or not there. */
  removeDirectory(path: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  /** Free bytes of the file system that holds `path`, as an ordinary user sees them. */
  freeSpace(path: string): Promise<number>;
  /** Takes a directory for this process alone; undefined where another living process has it. */
  lock(directory: string): Promise<DiskLock | undefined>;
}

/** `direct`: unbuffered; positions, sizes and memory must be multiples of 4096. Undefined from `open` where refused. */
export type OpenMode = "read" | "write" | "direct";

export interface DiskFile {
  /** Bytes read; fewer than asked only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  /**
   * As `read`, but answers at once, for small pieces that the page cache probably holds; undefined where this disk has
   * lately been slow to answer and a read should not hold up everybody else.
   */
  readNow(into: Uint8Array, position: number): number | undefined;
  /** Writes all of `pieces`, one after the other, from `position` on. They must not change before it resolves. */
  write(pieces: readonly Uint8Array[], position: number): Promise<void>;
  /** All that `write` has resolved for is on disk when it resolves. */
  sync(): Promise<void>;
  size(): Promise<number>;
  /** Makes the file so long, with a hole for what was never written. */
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export interface DiskLock {
  /** A child process that is given this descriptor holds the lock too, until it ends. Undefined where there is none. */
  readonly descriptor?: number | undefined;
  release(): Promise<void>;
}

// ── network ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Network {
  /** Rejects with the system's error ("EADDRINUSE", …). Port 0 takes a free one. */
  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener>;
  connect(options: ConnectOptions): Promise<Connection>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** What is received is put here, for all connections alike, and shown to their Receivers in place where possible. */
  readonly receiveBuffer: Uint8Array;
  readonly connectionsMax: number;
  /** Bytes that all connections together may have waiting for their Receivers; one that goes beyond it is cut off. */
  readonly waitingSizeMax: number;
  /** Several processes of one router may have the port together. */
  readonly shared?: boolean;
  /** Only who has it is accepted, and over TLS. */
  readonly secret?: PeerSecret | undefined;
  /** Told of those who have it not, or speak no TLS. */
  readonly onRefused?: ((from: string, why: string) => void) | undefined;
}

/**
 * What both ends of a connection have; without it neither of them learns or says anything. But its end is as TCP's: who
 * sits between can make one, so whatever passes must itself say where it is over.
 */
export interface PeerSecret {
  /** Sent in the clear, so that a mix-up can be told: it must not give the key away. */
  readonly identity: string;
  readonly key: Uint8Array;
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer: Uint8Array;
  readonly timeoutMs: number;
  /** Over TLS, with who has it. Else it is WRONG_KEY; UNAVAILABLE where the other side speaks no TLS. */
  readonly secret?: PeerSecret | undefined;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly connectionCount: number;
  /** Takes no further connections; those that are open go on. */
  close(): Promise<void>;
}

/** What a connection hands its bytes to. None of it is called before `Connection.start`. */
export interface Receiver {
  /**
   * Bytes that arrived, valid only during the call. Returns how many it took; with the rest it waits, and the
   * connection is paused, until `Connection.resume`.
   */
  bytes(chunk: Uint8Array): number;
  /** The peer has sent all it will send; it may still read. */
  end(): void;
  /** Nothing goes either way any more. Called exactly once, last. */
  closed(error: Error | undefined): void;
}

export interface Connection {
  readonly remoteHost: string;
  readonly remotePort: number;
  start(receiver: Receiver): void;
  /** Offers again what the receiver did not take, then reads on. */
  resume(): void;
  /** Resolves when the system has taken the bytes (they may be changed then); rejects when it never will. */
  write(bytes: Uint8Array): Promise<void>;
  /** As `write`, without a promise where the system has taken them at once. Where it is not there, `write` is all there is. */
  writeNow?(bytes: Uint8Array): Promise<void> | undefined;
  /** Sends what was written, then the end. */
  end(): Promise<void>;
  /** At once, in both directions. */
  destroy(): void;
}

// ── clock, random, log ──────────────────────────────────────────────────────────────────────────────────────────────

export interface Clock {
  /** Milliseconds since 1970. Can jump. */
  now(): number;
  /** Milliseconds from an arbitrary start, never backwards. */
  monotonic(): number;
  /** Calls once, after `delayMs`. Does not keep the process alive. */
  after(delayMs: number, call: () => void): Timer;
  /** Calls once, after the events that are already waiting. */
  soon(call: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** Unpredictable bytes: keys, names. */
  bytes(size: number): Uint8Array;
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
export type LogFields = { readonly [name: string]: string | number | boolean | undefined };

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
