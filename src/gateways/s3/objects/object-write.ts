/**
 * The path of a body to disk: received, verified, hashed for its ETag, encrypted where asked for, cut into tickets, and
 * committed as what the operation wants only when all of that held.
 *
 * A small body is gathered first and goes in one step. A large one goes to the writer as it comes; the writer's buffers
 * hold back the client when the disk is slower.
 */
import { StoreError } from "../../../core/errors.ts";
import { bufferHoldMs, bufferIdleMs } from "../../../core/limits.ts";
import type { Clock, Timer } from "../../../env/host.ts";
import { smallSizeMax } from "../../../router/small-write.ts";
import type { ObjectWriter, WrittenObject } from "../../../router/object-writer.ts";
import type { Target } from "../../../datastore/datastore.ts";
import type { ChecksumAlgorithm } from "../body/checksum.ts";
import type { ReceivedBody, RequestBody, Wanted } from "../body/request-body.ts";
import { type CipherStretch, type ObjectAttributes, plain } from "../model.ts";
import type { Services } from "../operation.ts";

export interface WriteOptions {
  readonly body: RequestBody;
  /** Which checksum to compute where the client names none. */
  readonly algorithm?: ChecksumAlgorithm | undefined;
  /** How the bytes are encrypted; undefined: as they are. */
  readonly encryption?: BodyEncryption | undefined;
  /** What the object becomes, said when all is known of the body. */
  readonly target: (received: ReceivedBody & { readonly md5: Uint8Array }) => Target;
}

/** Encrypts a body's bytes in the order in which they come. */
export interface BodyEncryption {
  newStretch(): { readonly iv: string; encrypt(bytes: Uint8Array): Uint8Array };
}

export interface StoredBody {
  readonly written: WrittenObject;
  readonly received: ReceivedBody;
}

/** Rejects with nothing visible where the body does not verify or the store cannot take it. */
export function storeBody(services: Services, options: WriteOptions): Promise<StoredBody> {
  const { body, algorithm } = options;
  const wanted: Wanted = { md5: true, algorithm };
  return body.size !== undefined && body.size <= smallSizeMax
    ? storeSmall(services, options, wanted)
    : storeLarge(services, options, wanted);
}

async function storeSmall(
  { router }: Services,
  { body, encryption, target }: WriteOptions,
  wanted: Wanted,
): Promise<StoredBody> {
  const received = await body.receive(smallSizeMax, wanted);
  const stretch = encryption?.newStretch();
  const bytes = stretch === undefined ? received.bytes : stretch.encrypt(received.bytes);
  const cipher = stretch === undefined ? [] : [{ size: bytes.length, iv: stretch.iv }];
  const written = await router.put(bytes, target(withMd5(received)), attributesOf(cipher));
  return { written, received };
}

async function storeLarge(services: Services, options: WriteOptions, wanted: Wanted): Promise<StoredBody> {
  const { body, encryption, target } = options;
  const stretch = encryption?.newStretch();
  const feed = new Feed(services.host.clock);
  const writer = await services.router.openWriter({
    ...(body.size === undefined ? {} : { sizeHint: body.size }),
    onRoom: () => feed.wake(),
    onFailure: () => feed.wake(),
  });
  const parking = parkWhileSlow(services, writer, feed);
  let received: ReceivedBody;
  try {
    received = await body.stream((piece) => feed.give(writer, stretch?.encrypt(piece) ?? piece), wanted);
  } catch (error) {
    // What the store says of itself comes before what the body did then, and aborting is a failure, too.
    const { failure } = writer;
    await writer.abort(error instanceof StoreError ? error : new StoreError("ABORTED", "the body was refused"));
    throw failure ?? error;
  } finally {
    parking.stop();
  }
  const cipher = stretch === undefined ? [] : [{ size: received.size, iv: stretch.iv }];
  const written = await writer.finish(target(withMd5(received)), attributesOf(cipher));
  return { written, received };
}

/**
 * Takes the buffer back from a client that sends little or nothing: ten thousand of them do not hold ten thousand. While
 * buffers are scarce it is taken sooner: a thousand that trickle would otherwise each have its second.
 */
function parkWhileSlow({ host, router }: Services, writer: ObjectWriter, feed: Feed): { stop(): void } {
  const { clock } = host;
  let timer: Timer | undefined;
  const look = (): void => {
    const holdMs = router.isCrowded ? bufferIdleMs : bufferHoldMs;
    if (feed.idleMs >= bufferIdleMs || writer.heldMs >= holdMs) writer.park();
    timer = clock.after(bufferIdleMs, look);
  };
  timer = clock.after(bufferIdleMs, look);
  return { stop: () => timer?.cancel() };
}

/** Gives pieces to a writer, waiting where it has no room. */
class Feed {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;
  #lastAt: number;
  #kept = new Uint8Array(0);

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastAt = clock.monotonic();
  }

  /** Since something came. */
  get idleMs(): number {
    return this.#clock.monotonic() - this.#lastAt;
  }

  give(writer: ObjectWriter, piece: Uint8Array): void | Promise<void> {
    this.#lastAt = this.#clock.monotonic();
    const taken = writer.offer(piece);
    if (writer.failure !== undefined) throw writer.failure;
    // What is not taken now is copied: the piece is only lent.
    if (taken < piece.length) return this.#giveRest(writer, this.#keep(piece.subarray(taken)));
  }

  /** A copy in memory that is used again: there is one rest at a time, and as garbage they would pile up. */
  #keep(rest: Uint8Array): Uint8Array {
    if (this.#kept.length < rest.length) this.#kept = new Uint8Array(rest.length);
    this.#kept.set(rest);
    return this.#kept.subarray(0, rest.length);
  }

  async #giveRest(writer: ObjectWriter, piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.length; done += writer.offer(piece.subarray(done))) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      if (writer.failure !== undefined) throw writer.failure;
    }
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

const noAttributes = {};

function attributesOf(cipher: readonly CipherStretch[]): ReturnType<typeof plain> {
  if (cipher.length === 0) return noAttributes;
  const attributes: ObjectAttributes = { cipher };
  return plain(attributes);
}

function withMd5(received: ReceivedBody): ReceivedBody & { readonly md5: Uint8Array } {
  if (received.md5 === undefined) throw new Error("assertion failed: the MD5 was wanted");
  return received as ReceivedBody & { readonly md5: Uint8Array };
}
