/** Plain clients of the ports, as somebody who has only the documents would write them. */
import { once } from "node:events";
import net from "node:net";
import { responseSize } from "../../src/core/frame.ts";

export class TestSocket {
  readonly socket: net.Socket;
  /** Everything that arrived and was not taken. */
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #changed: (() => void)[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#change();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#change();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      this.#change();
    });
  }

  static async connect(port: number, localAddress?: string): Promise<TestSocket> {
    const where = { host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true };
    const socket = net.connect(localAddress === undefined ? where : { ...where, localAddress });
    const client = new TestSocket(socket);
    await once(socket, "connect");
    return client;
  }

  get received(): Buffer {
    return this.#received;
  }

  /** Resolves when the system has taken the bytes. */
  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** In pieces as large as `sizes` says, over and over, each written by itself. */
  async writePieces(bytes: Uint8Array, sizes: readonly number[]): Promise<void> {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const size = sizes[turn % sizes.length]!;
      await this.write(bytes.subarray(at, at + size));
      at += size;
    }
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  async take(size: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= size || this.#closed || this.#ended);
    if (this.#received.length < size) throw new Error(`${this.#received.length} bytes came, not ${size}`);
    const taken = this.#received.subarray(0, size);
    this.#received = this.#received.subarray(size);
    return taken;
  }

  /** WriteTicketResponses as pairs of wire id (hex) and status. */
  async responses(count: number): Promise<{ id: string; status: number }[]> {
    const bytes = await this.take(count * responseSize);
    return Array.from({ length: count }, (_, index) => ({
      id: bytes.subarray(index * responseSize, index * responseSize + 8).toString("hex"),
      status: bytes[index * responseSize + 8]!,
    }));
  }

  async statuses(count: number): Promise<number[]> {
    return (await this.responses(count)).map(({ status }) => status);
  }

  /** Everything until the other side ends or closes. */
  async rest(): Promise<Buffer> {
    await this.#until(() => this.#ended || this.#closed);
    return this.#received;
  }

  async closed(): Promise<void> {
    await this.#until(() => this.#closed);
  }

  #change(): void {
    for (const call of this.#changed.splice(0)) call();
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }
}

/** Sends an object's bytes to tcp/5001 as `nc -N` does; the line that comes back. */
export async function sendStream(port: number, bytes: Uint8Array, pieces?: readonly number[]): Promise<string> {
  const client = await TestSocket.connect(port);
  try {
    if (pieces !== undefined) await client.writePieces(bytes, pieces);
    else if (bytes.length > 0) void client.write(bytes).catch(() => undefined);
    client.end();
    return (await client.rest()).toString("latin1");
  } finally {
    client.destroy();
  }
}

/** The id in an OK line; anything else is an error that shows it. */
export function objectOf(line: string): string {
  const id = /^OBJECT ([0-9A-Z]{1,8}) WRITTEN OK\n$/.exec(line)?.[1];
  if (id === undefined) throw new Error(`not stored: ${JSON.stringify(line)}`);
  return id;
}
