/** `put` against a port that says anything, at any moment: stored is what was sent whole and then said to be. */
import { once } from "node:events";
import net from "node:net";
import fc from "fast-check";
import { streamObject } from "../../src/cli/object-stream.ts";
import { StoreError } from "../../src/core/errors.ts";
import { type Unhandled, within } from "./fuzz-run.ts";
import { type Belongings, patternOf } from "./store.ts";

export interface PutCase {
  readonly said: string;
  /** After so many bytes; null: after the end. */
  readonly after: number | null;
  readonly ending: "end" | "reset";
}

const size = 300_000;
const putMsMax = 5_000;

export class PutTarget {
  readonly #port: number;
  readonly #unhandled: Unhandled;
  #case: PutCase | undefined;

  private constructor(server: net.Server, unhandled: Unhandled) {
    this.#port = (server.address() as net.AddressInfo).port;
    this.#unhandled = unhandled;
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async open(belongings: Belongings, unhandled: Unhandled): Promise<PutTarget> {
    const server = net.createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    belongings.add(() => void server.close());
    return new PutTarget(server, unhandled);
  }

  async check(one: PutCase): Promise<void> {
    this.#case = one;
    const sending = streamObject({ host: "127.0.0.1", port: this.#port }, pieces(one.after), () => undefined, never);
    const outcome = await within(putMsMax, "a put", sending).catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
      return error;
    });
    await this.#unhandled.check();
    const right = /^OBJECT ([0-9A-Z]{1,8}) WRITTEN OK\n/.exec(one.said)?.[1];
    if (typeof outcome === "string" && (outcome !== right || one.after !== null)) {
      throw new Error(`it is told to be stored as ${outcome}`);
    }
    // oxlint-disable-next-line no-control-regex
    if (typeof outcome !== "string" && /[\0-\x1f\x7f-\x9f]/.test(outcome.message)) {
      throw new Error(`control characters: ${JSON.stringify(outcome.message)}`);
    }
  }

  #serve(socket: net.Socket): void {
    const { said, after, ending } = this.#case!;
    let received = 0;
    let isSaid = false;
    const say = (): void => {
      if (isSaid) return;
      isSaid = true;
      socket.write(said, "latin1", () => (ending === "end" ? socket.end() : socket.resetAndDestroy()));
    };
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received += bytes.length;
      if (after !== null && received >= after) say();
    });
    socket.on("end", say);
  }
}

const never = new AbortController().signal;

/** Where the answer comes early, the rest never does: as from a person at a keyboard. */
async function* pieces(after: number | null): AsyncGenerator<Uint8Array> {
  const bytes = patternOf(size, 1);
  for (let at = 0; at < size; at += 50_000) {
    if (after !== null && at >= after) await new Promise(() => undefined);
    yield bytes.subarray(at, at + 50_000);
  }
}

const lines = ["OBJECT 1A WRITTEN OK\n", "ERROR busy: later\n", "OBJECT", "", "\n", "OBJECT 1a WRITTEN OK\n"];
const others = ["ERROR \x1b[31m\x9b\r\n", "OBJECT 123456789 WRITTEN OK\n", `ERROR ${"x".repeat(9_000)}\n`];

export const putCase: fc.Arbitrary<PutCase> = fc.record({
  said: fc.oneof(fc.constantFrom(...lines, ...others), fc.string({ unit: "binary-ascii", maxLength: 40 })),
  after: fc.constantFrom(null, null, 1, 60_000, 200_000),
  ending: fc.constantFrom("end" as const, "reset" as const),
});
