/**
 * A side that has the key and answers as it likes: any sequence of answers, rightly authenticated or not, to the clients of
 * routers and of the command line. They end with what was asked for or with an error of ours, in time, and hold nothing.
 */
import { once } from "node:events";
import net from "node:net";
import fc from "fast-check";
import { checksumSize, ticketDataSize } from "../../src/core/frame.ts";
import { idCount, type TicketId } from "../../src/core/ids.ts";
import { fingerprintOf } from "../../src/core/key.ts";
import { RequestClient } from "../../src/wire/request-client.ts";
import {
  encodeEnd,
  encodeJsonAnswer,
  encodeTicketsHead,
  noSession,
  requestSize,
  type Session,
} from "../../src/wire/message.ts";
import { byteChange, type ByteChange, changed, type Unhandled } from "./fuzz-run.ts";
import { fine } from "./fuzz-frames.ts";
import { type Belongings, clientKernel, patternOf, quietHost, testKey } from "./store.ts";

export type Said =
  | { readonly say: "json" | "error"; readonly value: unknown; readonly number: number }
  | { readonly say: "not json"; readonly text: string }
  | { readonly say: "end"; readonly number: number }
  | {
      readonly say: "tickets";
      readonly number: number;
      readonly first: number;
      readonly count: number;
      readonly skip: number;
      readonly take: number;
      /** How many follow, whatever is said. */
      readonly sent: number;
      readonly isGood: boolean;
    }
  | { readonly say: "bytes"; readonly hex: string };

export interface AnswerCase {
  /** undefined: a right one. */
  readonly greeting: unknown;
  readonly answers: readonly Said[];
  readonly changes: readonly ByteChange[];
  readonly ask: "json" | "tickets" | "get";
}

const patienceMs = 200;
/** What is asked for. */
const first = 5_000;
const count = 6;

export class AnsweringTarget {
  readonly #server: net.Server;
  readonly #unhandled: Unhandled;
  readonly #freeBlocks: number;
  #case: AnswerCase | undefined;

  private constructor(server: net.Server, unhandled: Unhandled) {
    this.#server = server;
    this.#unhandled = unhandled;
    this.#freeBlocks = clientKernel().freeCount("block");
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async open(belongings: Belongings, unhandled: Unhandled): Promise<AnsweringTarget> {
    const server = net.createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    belongings.add(() => void server.close());
    return new AnsweringTarget(server, unhandled);
  }

  async check(one: AnswerCase): Promise<void> {
    this.#case = one;
    let client: RequestClient | undefined;
    await fine(async () => {
      client = await RequestClient.connect({
        host: quietHost,
        kernel: clientKernel(),
        fingerprint: fingerprintOf(testKey),
        address: { host: "127.0.0.1", port: (this.#server.address() as net.AddressInfo).port },
        answerTimeoutMs: patienceMs,
      });
      if (one.ask === "json") await client.askJson("stat", { a: 1 });
      else if (one.ask === "tickets") await this.#tickets(client);
      else for await (const part of client.ask("get", { a: 1 })) if (part.kind === "tickets") part.buffer.release();
    });
    client?.close();
    const free = clientKernel().freeCount("block");
    if (free !== this.#freeBlocks) throw new Error(`${free} buffers are free, of ${this.#freeBlocks}`);
    await this.#unhandled.check();
  }

  /** All of them came, in order, as they were sent. */
  async #tickets(client: RequestClient): Promise<void> {
    const data = new Uint8Array(count * ticketDataSize);
    const sums = new Uint8Array(count * checksumSize);
    await client.askTickets("read", first, count, data, sums);
    const said = this.#case!.answers.flatMap((answer) => (answer.say === "tickets" ? [answer] : []));
    let next = first;
    for (const { first: from, count: many } of said) {
      if (next >= first + count) break;
      if (from !== next) throw new Error(`tickets from ${from} on were taken for those from ${next} on`);
      next += many;
    }
    if (next !== first + count) throw new Error(`${next - first} tickets were taken for ${count}`);
  }

  #serve(socket: net.Socket): void {
    let received = Buffer.alloc(0);
    let session: Session = noSession;
    let step = 0;
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (step === 0 && received.length >= requestSize + 8) {
        step = 1;
        session = this.#greet(socket, received.subarray(requestSize, requestSize + 8));
        received = received.subarray(requestSize + 8);
      }
      if (step === 1 && received.length >= requestSize) {
        step = 2;
        this.#answer(socket, session);
      }
    });
  }

  #greet(socket: net.Socket, asked: Uint8Array): Session {
    const own = Buffer.from("0001020304050607", "hex");
    const right = { role: "server", id: "fuzz", session: own.toString("hex") };
    const { greeting } = this.#case!;
    const kernel = clientKernel();
    const value = greeting === undefined ? right : greeting;
    socket.write(encodeJsonAnswer(kernel, noSession, "json", 1, value));
    socket.write(encodeEnd(kernel, noSession, 1));
    return new Uint8Array(Buffer.concat([asked, own]));
  }

  #answer(socket: net.Socket, session: Session): void {
    const { answers, changes } = this.#case!;
    const all = Buffer.concat(answers.map((said) => encode(session, said)));
    socket.end(changed(all, changes));
  }
}

function encode(session: Session, said: Said): Uint8Array {
  const kernel = clientKernel();
  switch (said.say) {
    case "json":
    case "error":
      return encodeJsonAnswer(kernel, session, said.say, said.number, said.value);
    case "not json":
      return plainAnswer(session, Buffer.from(said.text, "latin1"));
    case "end":
      return encodeEnd(kernel, session, said.number);
    case "bytes":
      return Buffer.from(said.hex, "hex");
    case "tickets": {
      const head = encodeTicketsHead(kernel, session, said.number, { ...said, first: said.first as TicketId });
      return Buffer.concat([head, ticketsOf(said)]);
    }
    default:
      return new Uint8Array(0);
  }
}

/** As docs/formats/wire.md has it; whatever the body is. */
function plainAnswer(session: Session, body: Buffer): Uint8Array {
  const kernel = clientKernel();
  const head = Buffer.alloc(40);
  head.writeUInt32BE(2, 0);
  head[4] = 0x6a;
  head.set(kernel.macLong(new Uint8Array(body)), 8);
  head.writeUInt32BE(body.length, 28);
  head.set(kernel.mac(new Uint8Array(Buffer.concat([session, head.subarray(0, 32)]))), 32);
  return Buffer.concat([head, body]);
}

function ticketsOf({ first: from, sent, isGood }: { first: number; sent: number; isGood: boolean }): Uint8Array {
  const buffer = clientKernel().take("block")!;
  buffer.data.set(patternOf(sent * ticketDataSize, 1));
  if (isGood && from + sent <= idCount) clientKernel().makeSums(from, sent, buffer.data, buffer.sums);
  const bytes = Buffer.concat([
    buffer.data.subarray(0, sent * ticketDataSize),
    buffer.sums.subarray(0, sent * checksumSize),
  ]);
  buffer.release();
  return bytes;
}

// ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const number = fc.oneof({ weight: 8, arbitrary: fc.constant(2) }, fc.constantFrom(0, 1, 3, 4_294_967_295));
const size = fc.oneof(fc.nat(7), fc.constantFrom(180, 181, 1_457, 1_458, 8_748, 2 ** 31, 2 ** 32 - 1));
const sent = fc.nat(7);
const said: fc.Arbitrary<Said> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({
        number,
        first: fc.constantFrom(first, first + 2, first + 3, 0, 2_901_713_047_666),
        sent,
        isGood: fc.boolean(),
      })
      .map((one) => ({ say: "tickets" as const, ...one, count: one.sent, skip: 0, take: one.sent * ticketDataSize })),
  },
  fc.record({
    say: fc.constant("tickets" as const),
    number,
    first: fc.nat(6_000),
    count: size,
    skip: size,
    take: size,
    sent,
    isGood: fc.boolean(),
  }),
  { weight: 2, arbitrary: fc.record({ say: fc.constant("end" as const), number }) },
  fc.record({ say: fc.constantFrom("json" as const, "error" as const), number, value: fc.jsonValue() }),
  fc.record({
    say: fc.constant("error" as const),
    number,
    value: fc.record({
      code: fc.constantFrom("BUSY", "NO_SUCH", "constructor", 5, null),
      message: fc.constantFrom("m", 5, null),
    }),
  }),
  fc.record({
    say: fc.constant("not json" as const),
    text: fc.constantFrom("", "{", "\xff\xfe", "nul", "[".repeat(50_000)),
  }),
  fc.record({
    say: fc.constant("bytes" as const),
    hex: fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes).toString("hex")),
  }),
);
const greeting = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  fc.jsonValue(),
  fc.record({
    role: fc.constantFrom("server", "router", 5),
    id: fc.jsonValue(),
    session: fc.constantFrom("", "00", "zz".repeat(8), "00".repeat(9), 5, null),
  }),
);

export const answerCase: fc.Arbitrary<AnswerCase> = fc.record({
  greeting,
  answers: fc.array(said, { maxLength: 5 }),
  changes: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(byteChange, { maxLength: 2 })),
  ask: fc.constantFrom("json" as const, "tickets" as const, "tickets" as const, "get" as const),
});
