/**
 * Responses on a connection of their own (`--respond-to`): to the router's response port, kept up for as long as the
 * putter lives. It may come up before the router does. While it is down, who wants to respond waits, and so does the
 * client that sent the tickets.
 */
import type { Address } from "../core/address.ts";
import { formatAddress } from "../core/address.ts";
import { messageOf, StoreError } from "../core/errors.ts";
import type { Kernel } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import { type Connection, delay, type Host } from "../env/host.ts";
import { tlsOnly } from "../wire/request-client.ts";
import { writeOrCut } from "../wire/request-server.ts";

export class ResponseLink {
  readonly #host: Host;
  readonly #kernel: Kernel;
  readonly #address: Address;
  readonly #abort = new AbortController();
  #connection: Connection | undefined;
  #waiting: (() => void)[] = [];

  constructor(host: Host, kernel: Kernel, address: Address) {
    this.#host = host;
    this.#kernel = kernel;
    this.#address = address;
    void this.#keepUp();
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Resolves when the system has the bytes; a connection that broke is replaced, and they are sent again. */
  async send(responses: Uint8Array): Promise<void> {
    for (;;) {
      if (this.#abort.signal.aborted) throw new StoreError("ABORTED", "the putter is closing");
      const connection = this.#connection;
      if (connection === undefined) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      try {
        await writeOrCut(this.#host, connection, responses);
        return;
      } catch {
        if (this.#connection === connection) this.#connection = undefined;
      }
    }
  }

  close(): void {
    this.#abort.abort();
    this.#connection?.destroy();
    this.#wake();
  }

  async #keepUp(): Promise<void> {
    const { clock, log, network } = this.#host;
    const where = formatAddress(this.#address);
    let delayMs: number = limits.reconnectDelayMinMs;
    let complained = false;
    while (!this.#abort.signal.aborted) {
      try {
        const receiveBuffer = this.#kernel.receiveBuffer;
        const timeoutMs = limits.connectTimeoutMs;
        const connection = await network.connect({ ...this.#address, receiveBuffer, timeoutMs });
        const gone = this.#start(connection);
        log.info("responses go to the router", { router: where });
        complained = false;
        delayMs = limits.reconnectDelayMinMs;
        await gone;
        this.#connection = undefined;
      } catch (error) {
        if (!complained) log.warn("the router does not answer yet", { router: where, error: messageOf(error) });
        complained = true;
      }
      await delay(clock, delayMs, this.#abort.signal);
      delayMs = Math.min(delayMs * 2, limits.reconnectDelayMaxMs);
    }
  }

  #start(connection: Connection): Promise<void> {
    return new Promise((resolve) => {
      connection.start({
        bytes: (chunk) => {
          this.#hear(chunk);
          return chunk.length;
        },
        end: () => connection.destroy(),
        closed: () => resolve(),
      });
      this.#connection = connection;
      this.#wake();
    });
  }

  /** A router answers nothing here, but a port that speaks TLS says so to those that do not. */
  #hear(chunk: Uint8Array): void {
    if (!Buffer.from(chunk.subarray(0, tlsOnly.length)).toString("latin1").startsWith(tlsOnly)) return;
    this.#host.log.warn("the router takes TLS only: give --peer-tls, too", { router: formatAddress(this.#address) });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
