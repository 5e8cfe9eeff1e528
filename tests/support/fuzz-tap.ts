/** A proxy on a loopback port that changes what goes through it, either way, and cuts or holds it. */
import { once } from "node:events";
import net from "node:net";
import fc from "fast-check";
import { byteChange, type ByteChange, changed } from "./fuzz-run.ts";

/** What happens to one of the pieces that go one way on a connection, counted from 0. */
export interface TapChange {
  /** Of the connections made since `change`. */
  readonly connection: number;
  readonly way: "up" | "down";
  readonly piece: number;
  readonly changes: readonly ByteChange[];
  /** What becomes of the connection after it. */
  readonly next: "go on" | "reset" | "end" | "hold";
}

export class Tap {
  readonly #server: net.Server;
  readonly #target: number;
  readonly #sockets = new Set<net.Socket>();
  #changes: readonly TapChange[] = [];
  #connections = 0;
  /** Clients whose next bytes end their connection instead. */
  readonly #closing = new Map<net.Socket, "end" | "reset">();
  readonly #clients = new Set<net.Socket>();
  closedCount = 0;
  isRecording = false;
  /** What went up, by connection. */
  readonly recorded: Buffer[] = [];

  private constructor(server: net.Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: number): Promise<Tap> {
    const server = net.createServer({ allowHalfOpen: true });
    const tap = new Tap(server, target);
    server.on("connection", (socket) => tap.#serve(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return tap;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Made since `change`. */
  get connectionCount(): number {
    return this.#connections;
  }

  change(changes: readonly TapChange[]): void {
    this.#changes = changes;
    this.#connections = 0;
  }

  /** As a server does that closes connections for being idle, just when something is on its way to it. */
  closeAtNext(how: "end" | "reset"): void {
    this.closedCount = 0;
    for (const client of this.#clients) this.#closing.set(client, how);
  }

  /** Nothing that was held stays. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(client: net.Socket): void {
    const connection = this.#connections++;
    this.#clients.add(client);
    client.once("close", () => this.#clients.delete(client));
    const changes = this.#changes.filter((change) => change.connection === connection);
    const target = net.connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true });
    this.#forward(
      client,
      target,
      changes.filter(({ way }) => way === "up"),
      connection,
    );
    this.#forward(
      target,
      client,
      changes.filter(({ way }) => way === "down"),
      undefined,
    );
  }

  #forward(from: net.Socket, to: net.Socket, changes: readonly TapChange[], up: number | undefined): void {
    this.#sockets.add(from);
    let piece = 0;
    let isHeld = false;
    from.setNoDelay(true);
    from.on("error", () => undefined);
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("end", () => {
      if (!isHeld) to.end();
    });
    from.on("data", (bytes: Buffer) => {
      const closing = this.#closing.get(from);
      if (closing !== undefined) {
        this.closedCount++;
        if (closing === "end") from.end();
        else from.resetAndDestroy();
        return;
      }
      if (up !== undefined && this.isRecording) {
        this.recorded[up] = Buffer.concat([this.recorded[up] ?? Buffer.alloc(0), bytes]);
      }
      const change = changes.find((one) => one.piece === piece);
      piece++;
      if (isHeld || to.destroyed || to.writableEnded) return;
      to.write(change === undefined ? bytes : changed(bytes, change.changes));
      if (change?.next === "hold") isHeld = true;
      if (change?.next === "end") to.end();
      if (change?.next === "reset") setImmediate(() => void to.resetAndDestroy());
    });
  }
}

/** `pieces`: so many are worth changing. */
export function tapChange(pieces: number): fc.Arbitrary<TapChange> {
  return fc.record({
    connection: fc.nat(1),
    way: fc.constantFrom("up" as const, "down" as const),
    piece: fc.nat(pieces - 1),
    changes: fc.array(byteChange, { minLength: 1, maxLength: 3 }),
    next: fc.constantFrom(
      "go on" as const,
      "go on" as const,
      "go on" as const,
      "reset" as const,
      "end" as const,
      "hold" as const,
    ),
  });
}
