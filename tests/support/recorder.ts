/** A man in the middle: passes on what goes between a client and a port, keeps it, and can change it on the way. */
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";

type Way = "up" | "down";

export class Recorder {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #kept: { readonly way: Way; readonly connection: number; readonly bytes: Buffer }[] = [];
  /** What of a piece is passed on in its place. */
  change: (bytes: Buffer, way: Way) => Buffer = (bytes) => bytes;
  #connections = 0;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async before(port: number): Promise<Recorder> {
    const server = net.createServer({ allowHalfOpen: true });
    const recorder = new Recorder(server);
    server.on("connection", (client) =>
      recorder.#join(client, net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return recorder;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** All that went both ways, or one. */
  seen(way?: Way): Buffer {
    return Buffer.concat(
      this.#kept.filter((piece) => way === undefined || piece.way === way).map(({ bytes }) => bytes),
    );
  }

  /** What clients sent, connection by connection. */
  sent(): Buffer[] {
    return Array.from({ length: this.#connections }, (_, connection) =>
      Buffer.concat(
        this.#kept.filter((piece) => piece.way === "up" && piece.connection === connection).map(({ bytes }) => bytes),
      ),
    );
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: net.Socket, server: net.Socket): void {
    const connection = this.#connections++;
    for (const [from, to, way] of [
      [client, server, "up"],
      [server, client, "down"],
    ] as const) {
      this.#sockets.add(from);
      from.on("data", (bytes: Buffer) => {
        this.#kept.push({ way, connection, bytes });
        to.write(this.change(Buffer.from(bytes), way));
      });
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
