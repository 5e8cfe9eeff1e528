/** What every Network does, Node's (by both its ways of reading) and the simulated one: run by node-network.test.ts. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Connection, ConnectOptions, Listener, ListenOptions, Network, Receiver } from "./host.ts";

export interface NetworkUnderTest {
  readonly server: Network;
  readonly client: Network;
  /** Where the client finds the server. */
  readonly host: string;
  /** Lets the network work until the promise settles. */
  readonly drive: <Value>(promise: Promise<Value>) => Promise<Value>;
  /** Something that takes a little while. */
  readonly soon: (call: () => void) => void;
}

/** Takes so many bytes at a time, waits, and resumes; notes everything. */
export class TestReceiver implements Receiver {
  readonly chunks: Buffer[] = [];
  readonly calls: string[] = [];
  readonly closedCalled: Promise<Error | undefined>;
  connection: Connection | undefined;
  #tellClosed!: (error: Error | undefined) => void;
  readonly #takeMax: number;
  readonly #soon: (call: () => void) => void;
  readonly onEnd: (() => void) | undefined;

  constructor(takeMax: number, soon: (call: () => void) => void, onEnd?: () => void) {
    this.#takeMax = takeMax;
    this.#soon = soon;
    this.onEnd = onEnd;
    this.closedCalled = new Promise((resolve) => (this.#tellClosed = resolve));
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  bytes(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, this.#takeMax);
    this.chunks.push(Buffer.from(chunk.subarray(0, taken)));
    this.calls.push("bytes");
    if (taken < chunk.length && this.#takeMax > 0) this.#soon(() => this.connection!.resume());
    return taken;
  }

  end(): void {
    this.calls.push("end");
    this.onEnd?.();
  }

  closed(error: Error | undefined): void {
    this.calls.push("closed");
    this.#tellClosed(error);
  }
}

export function patternOf(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 8) * 7) & 0xff;
  return bytes;
}

export function networkContract(name: string, make: () => NetworkUnderTest): void {
  describe(`a Network: ${name}`, () => {
    let network: NetworkUnderTest;
    let listener: Listener | undefined;
    beforeEach(() => {
      network = make();
      listener = undefined;
    });
    afterEach(async () => {
      if (listener !== undefined) await network.drive(listener.close());
    });

    const listen = async (
      accept: (connection: Connection) => void,
      more: Partial<ListenOptions> = {},
    ): Promise<void> => {
      const limits = { connectionsMax: 10, waitingSizeMax: 1_000_000, receiveBuffer: new Uint8Array(65_536) };
      const options = { host: "127.0.0.1", port: 0, ...limits, ...more };
      listener = await network.drive(network.server.listen(options, accept));
    };
    const connect = (more: Partial<ConnectOptions> = {}): Promise<Connection> => {
      const where = { host: network.host, port: listener?.port ?? 1, timeoutMs: 2000 };
      return network.drive(network.client.connect({ ...where, receiveBuffer: new Uint8Array(65_536), ...more }));
    };
    const receiver = (takeMax = Number.MAX_SAFE_INTEGER, onEnd?: () => void): TestReceiver =>
      new TestReceiver(takeMax, network.soon, onEnd);
    const start = (connection: Connection, receiver: TestReceiver): void => {
      receiver.connection = connection;
      connection.start(receiver);
    };

    it.each([
      ["all at once", Number.MAX_SAFE_INTEGER, 3_000_000],
      ["a page at a time", 4096, 800_000],
      ["seven bytes at a time", 7, 5_000],
    ])("the bytes arrive, then the end, then closed, for who takes %s", async (_, takeMax, size) => {
      const sent = patternOf(size);
      let accepted!: Connection;
      const far = receiver(takeMax, () => void accepted.end());
      await listen((connection) => {
        accepted = connection;
        start(connection, far);
      });
      const near = await connect();
      const nearReceiver = receiver();
      start(near, nearReceiver);
      await network.drive(near.write(sent));
      await network.drive(near.end());
      expect(await network.drive(far.closedCalled)).toBeUndefined();
      expect(await network.drive(nearReceiver.closedCalled)).toBeUndefined();
      expect(far.received.length).toBe(size);
      expect(Buffer.compare(far.received, sent)).toBe(0);
      expect(far.calls.filter((call) => call !== "bytes")).toEqual(["end", "closed"]);
      expect(far.calls.at(-1)).toBe("closed");
      expect(nearReceiver.calls).toEqual(["end", "closed"]);
      expect(listener!.connectionCount).toBe(0);
    });

    it("who has ended still receives, by few bytes at a time", async () => {
      const answer = patternOf(20_000);
      await listen((connection) => {
        start(
          connection,
          receiver(undefined, () => void connection.write(answer).then(() => connection.end())),
        );
      });
      const near = await connect();
      const nearReceiver = receiver(100);
      start(near, nearReceiver);
      await network.drive(near.write(Uint8Array.of(1)));
      await network.drive(near.end());
      expect(await network.drive(nearReceiver.closedCalled)).toBeUndefined();
      expect(Buffer.compare(nearReceiver.received, answer)).toBe(0);
      expect(nearReceiver.calls.slice(-2)).toEqual(["end", "closed"]);
    });

    it("nothing is told before start, and what came before it is not lost", async () => {
      const sent = patternOf(10_000);
      let accepted: Connection | undefined;
      const taken = new Promise<void>((resolve) => {
        void listen((connection) => {
          accepted = connection;
          resolve();
        }).then(async () => {
          const near = await connect();
          start(near, receiver());
          await network.drive(near.write(sent));
          await network.drive(near.end());
        });
      });
      await network.drive(taken);
      await network.drive(new Promise<void>((resolve) => network.soon(resolve)));
      let done!: () => void;
      const ended = new Promise<void>((resolve) => (done = resolve));
      const far = receiver(undefined, done);
      start(accepted!, far);
      await network.drive(ended);
      expect(Buffer.compare(far.received, sent)).toBe(0);
      accepted!.destroy();
      await network.drive(far.closedCalled);
      expect(far.calls.filter((call) => call === "closed").length).toBe(1);
    });

    it("a connection that is destroyed before start is told closed, once", async () => {
      let accepted!: Connection;
      await listen((connection) => (accepted = connection));
      const near = await connect();
      start(near, receiver());
      accepted.destroy();
      await network.drive(new Promise<void>((resolve) => network.soon(resolve)));
      const far = receiver();
      start(accepted, far);
      await network.drive(far.closedCalled);
      expect(far.calls).toEqual(["closed"]);
      await expect(network.drive(accepted.write(Uint8Array.of(1)))).rejects.toThrow(/./);
    });

    it("destroying one end closes both, each once, and writing to it rejects", async () => {
      const far = receiver();
      await listen((connection) => start(connection, far));
      const near = await connect();
      const nearReceiver = receiver();
      start(near, nearReceiver);
      await network.drive(near.write(patternOf(1000)));
      near.destroy();
      near.destroy();
      await network.drive(nearReceiver.closedCalled);
      await expect(network.drive(near.write(patternOf(10)))).rejects.toThrow(/./);
      // The far end hears of the end, or of a reset; what it does then closes it.
      await network.drive(Promise.race([far.closedCalled, new Promise<void>((resolve) => network.soon(resolve))]));
      far.connection!.destroy();
      await network.drive(far.closedCalled);
      expect(far.calls.filter((call) => call === "closed").length).toBe(1);
      expect(nearReceiver.calls.filter((call) => call === "closed").length).toBe(1);
      expect(listener!.connectionCount).toBe(0);
    });

    it("who lets more wait than may wait is cut off", async () => {
      const far = receiver(0);
      await listen((connection) => start(connection, far), { waitingSizeMax: 0 });
      const near = await connect();
      const nearReceiver = receiver();
      start(near, nearReceiver);
      await Promise.allSettled([network.drive(near.write(patternOf(200_000)))]);
      expect(String(await network.drive(far.closedCalled))).toContain("more than 0 bytes wait for a buffer");
      expect(far.calls.at(-1)).toBe("closed");
      near.destroy();
      await network.drive(nearReceiver.closedCalled);
    });

    it("what waits is forgotten with its connection, so that others can wait", async () => {
      const far: TestReceiver[] = [];
      await listen(
        (connection) => {
          const one = receiver(0);
          far.push(one);
          start(connection, one);
        },
        { waitingSizeMax: 1000 },
      );
      for (let round = 0; round < 4; round++) {
        const near = await connect();
        const nearReceiver = receiver();
        start(near, nearReceiver);
        await network.drive(near.write(patternOf(900)));
        for (let turn = 0; turn < 100 && far[round]?.calls.length !== 1; turn++) {
          await network.drive(new Promise<void>((resolve) => network.soon(resolve)));
        }
        expect(far[round]!.calls).toEqual(["bytes"]);
        far[round]!.connection!.destroy();
        near.destroy();
        expect(await network.drive(far[round]!.closedCalled)).toBeUndefined();
        await network.drive(nearReceiver.closedCalled);
      }
    });

    it("what waits is not overwritten by what other connections receive", async () => {
      const far: TestReceiver[] = [];
      await listen((connection) => {
        const one = receiver(10);
        far.push(one);
        start(connection, one);
      });
      const texts = ["a", "b", "c"].map((letter) => letter.repeat(300));
      for (const text of texts) {
        const near = await connect();
        start(near, receiver());
        await network.drive(near.write(Buffer.from(text)));
        await network.drive(near.end());
      }
      const all = (): string[] => far.map(({ received }) => received.toString("latin1")).sort();
      for (let turn = 0; turn < 1000 && all().join("").length < 900; turn++) {
        await network.drive(new Promise<void>((resolve) => network.soon(resolve)));
      }
      expect(all()).toEqual(texts);
      for (const { connection, closedCalled } of far) {
        connection!.destroy();
        await network.drive(closedCalled);
      }
    });

    it("connections beyond the maximum are closed at once", async () => {
      await listen((connection) => start(connection, receiver()), { connectionsMax: 1 });
      const first = await connect();
      start(first, receiver());
      // Where both sides greet each other, it is not even made.
      const second = await connect().catch(() => undefined);
      if (second === undefined) {
        expect(listener!.connectionCount).toBe(1);
        first.destroy();
        return;
      }
      let ended!: () => void;
      const over = new Promise<void>((resolve) => (ended = resolve));
      const secondReceiver = receiver(undefined, ended);
      start(second, secondReceiver);
      await network.drive(Promise.race([over, secondReceiver.closedCalled]));
      expect(listener!.connectionCount).toBe(1);
      first.destroy();
      second.destroy();
      await network.drive(secondReceiver.closedCalled);
    });

    it("a port that is taken, or where nobody listens, is a clear error", async () => {
      await listen((connection) => connection.destroy());
      const again = { host: "127.0.0.1", port: listener!.port, connectionsMax: 1, waitingSizeMax: 1 };
      const taking = network.server.listen({ ...again, receiveBuffer: new Uint8Array(1) }, () => undefined);
      await expect(network.drive(taking)).rejects.toMatchObject({ code: "EADDRINUSE" });
      const { port } = listener!;
      await network.drive(listener!.close());
      const refused = {
        code: "UNAVAILABLE",
        message: expect.stringContaining(`${network.host}:${port} cannot be reached: `),
      };
      await expect(connect({ port })).rejects.toMatchObject(refused);
      await expect(connect({ port })).rejects.toThrow("ECONNREFUSED");
    });
  });
}
