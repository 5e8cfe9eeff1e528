/**
 * tcp/5001: a client sends the bytes of one object and half-closes; the answer is one line. `nc -N host 5001 < file` is
 * a complete client.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId } from "../core/ids.ts";
import * as limits from "../core/limits.ts";
import type { Kernel } from "../core/kernel.ts";
import type { Connection, Host } from "../env/host.ts";
import { openPort, type Port, type WorkingReceiver } from "../wire/connection-sorter.ts";
import { beginsRequests, decodeRequest, noSession, requestSize } from "../wire/message.ts";
import { writeOrCut } from "../wire/request-server.ts";
import type { ObjectWriter } from "./object-writer.ts";
import type { Router } from "./router.ts";

export interface StreamPortOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly router: Router;
  readonly bind: string;
  readonly port: number;
  readonly idleTimeoutMs?: number;
}

export function openStreamPort(options: StreamPortOptions): Promise<Port> {
  const { host, kernel, router, bind, port } = options;
  return openPort(
    {
      host,
      kernel,
      bind,
      port,
      ...(options.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: options.idleTimeoutMs }),
      onIdle: (receiver) => (receiver as StreamReceiver).giveUp(options.idleTimeoutMs ?? limits.idleTimeoutMs),
      onClosing: (receiver) => (receiver as StreamReceiver).interrupt(),
      onTick: (receiver, idleMs) => (receiver as StreamReceiver).park(idleMs),
    },
    (connection) => new StreamReceiver(host, kernel, router, connection),
  );
}

class StreamReceiver implements WorkingReceiver {
  readonly #host: Host;
  readonly #kernel: Kernel;
  readonly #router: Router;
  readonly #connection: Connection;
  #writer: ObjectWriter | undefined;
  #opening = false;
  #finishing = false;
  #answered = false;
  #answering = false;
  #closed = false;

  constructor(host: Host, kernel: Kernel, router: Router, connection: Connection) {
    this.#host = host;
    this.#kernel = kernel;
    this.#router = router;
    this.#connection = connection;
  }

  get working(): boolean {
    return this.#opening || this.#finishing || this.#answering || (this.#writer?.working ?? false);
  }

  bytes(chunk: Uint8Array): number {
    if (this.#answered) return chunk.length;
    if (this.#writer === undefined) {
      if (isHello(this.#kernel, chunk)) {
        void this.#refuse(new StoreError("PROTOCOL", "this port takes byte streams; requests go to the response port"));
        return chunk.length;
      }
      void this.#open();
      return 0;
    }
    return this.#writer.offer(chunk);
  }

  end(): void {
    void this.#finish();
  }

  closed(): void {
    this.#closed = true;
    if (this.#finishing || this.#answered) return;
    // Gone before the end of its object: nothing of it becomes visible.
    void this.#writer?.abort(new StoreError("ABORTED", "the client went away before the end of its object"));
  }

  /** Gives the buffer back where this client is slow. */
  park(idleMs: number): void {
    const writer = this.#writer;
    if (this.#finishing || writer === undefined) return;
    if (idleMs >= limits.bufferIdleMs || writer.heldMs >= limits.bufferHoldMs) writer.park();
  }

  /** The router closes: what is not whole stays out, and its client is told. */
  interrupt(): void {
    if (this.#finishing || this.#answered) return;
    void this.#giveUpOn(this.#writer, new StoreError("ABORTED", "the router is closing"));
  }

  giveUp(idleTimeoutMs: number): void {
    if (this.#answered) {
      // It was told, and does not close its side.
      this.#connection.destroy();
      return;
    }
    const error = new StoreError("ABORTED", `nothing was sent for ${idleTimeoutMs} ms`);
    if (this.#writer === undefined) void this.#refuse(error);
    else void this.#writer.abort(error).then(() => this.#refuse(error));
  }

  async #open(): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    try {
      const writer = await this.#router.openWriter({
        onRoom: () => this.#connection.resume(),
        onFailure: (error) => {
          // Told at once: the client need not send the rest.
          if (!this.#finishing) void this.#giveUpOn(writer, error);
          this.#connection.resume();
        },
      });
      this.#writer = writer;
      if (this.#closed || this.#answered) await writer.abort(new StoreError("ABORTED", "the client went away"));
    } catch (error) {
      await this.#refuse(error);
    } finally {
      this.#opening = false;
    }
    this.#connection.resume();
  }

  async #finish(): Promise<void> {
    if (this.#answered) return;
    if (this.#writer === undefined) await this.#open();
    const writer = this.#writer;
    if (writer === undefined || this.#answered) return;
    this.#finishing = true;
    try {
      const { id } = await writer.finish({ kind: "standalone" }, {});
      await this.#answer(`OBJECT ${formatId(id)} WRITTEN OK\n`);
    } catch (error) {
      await this.#refuse(error);
    } finally {
      this.#finishing = false;
    }
  }

  async #giveUpOn(writer: ObjectWriter | undefined, error: StoreError): Promise<void> {
    await this.#refuse(error);
    await writer?.abort(error);
  }

  async #refuse(error: unknown): Promise<void> {
    const reason = messageOf(error).replace(/\s+/g, " ");
    this.#host.log.warn("object not stored", { from: this.#connection.remoteHost, reason });
    await this.#answer(`ERROR ${reason}\n`);
  }

  async #answer(line: string): Promise<void> {
    if (this.#answered || this.#closed) return;
    this.#answered = true;
    this.#answering = true;
    try {
      await writeOrCut(this.#host, this.#connection, new Uint8Array(Buffer.from(line)));
      await this.#connection.end();
    } catch (error) {
      this.#host.log.debug("answer not delivered", { error: messageOf(error) });
      this.#connection.destroy();
    } finally {
      this.#answering = false;
    }
  }
}

/** A client of the response port that came to the wrong one: its first frame carries our key's mac, so it is no object. */
function isHello(kernel: Kernel, chunk: Uint8Array): boolean {
  if (chunk.length < requestSize || beginsRequests(chunk) !== true) return false;
  try {
    decodeRequest(kernel, noSession, chunk.subarray(0, requestSize));
    return true;
  } catch {
    return false;
  }
}
