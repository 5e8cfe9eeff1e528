/**
 * A request's body, decoded and verified as its headers say. Nothing is looked at before an operation asks for it: most
 * requests have no body, and what is wrong with a header is not worth telling to who may not do this at all.
 */
import * as limits from "../../../core/limits.ts";
import type { Soon } from "../../../core/soon.ts";
import type { Digest, DigestAlgorithm, Digests } from "../../../env/digests.ts";
import type { Authentication } from "../auth/identity.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { AwsChunkedDecoder } from "./aws-chunked.ts";
import { type ChecksumAlgorithm, checksumHeader } from "./checksum.ts";
import { ChunkSignatures } from "./chunk-signatures.ts";
import {
  type BodyOptions,
  checkedValue,
  checkObjectSize,
  type Expectations,
  type ExpectedChecksum,
  isChunked,
  namedAlgorithm,
  readDecodedSize,
  readExpectations,
} from "./expectations.ts";
import type { ReceivedBody, RequestBody, Wanted } from "./request-body.ts";
import { neededDigests, verified } from "./verification.ts";

type Take = (piece: Uint8Array) => void | Promise<void>;

/** The same request's body may be opened again as long as nothing was read of it. */
export function openBody(
  request: S3Request,
  authentication: Authentication,
  digests: Digests,
  options: BodyOptions = { checksumsDescribeBody: true },
): RequestBody {
  return new SignedBody(request, authentication, digests, options);
}

const nothingWanted: Wanted = { md5: false };
const noBytes = new Uint8Array(0);

class SignedBody implements RequestBody {
  readonly #request: S3Request;
  readonly #authentication: Authentication;
  readonly #digests: Digests;
  readonly #options: BodyOptions;

  constructor(request: S3Request, authentication: Authentication, digests: Digests, options: BodyOptions) {
    this.#request = request;
    this.#authentication = authentication;
    this.#digests = digests;
    this.#options = options;
  }

  get size(): number | undefined {
    const request = this.#request;
    return isChunked(request, this.#authentication.payload.kind) ? readDecodedSize(request) : request.http.body.size;
  }

  get algorithm(): ChecksumAlgorithm | undefined {
    return this.#options.checksumsDescribeBody ? namedAlgorithm(this.#request) : undefined;
  }

  async collect(sizeMax: number): Promise<Uint8Array> {
    return (await this.#gather(sizeMax, nothingWanted, () => this.#expectations())).bytes;
  }

  receive(sizeMax: number, wanted: Wanted): Promise<ReceivedBody & { readonly bytes: Uint8Array }> {
    return this.#gather(sizeMax, wanted, () => this.#storedExpectations());
  }

  async stream(take: Take, wanted: Wanted): Promise<ReceivedBody> {
    const expected = this.#storedExpectations();
    const algorithms = neededDigests(expected, wanted);
    const digest = algorithms.length === 0 ? undefined : this.#digests.open(algorithms, expected.size);
    const flow = new Flow(take, digest);
    let checksum: ExpectedChecksum | undefined;
    try {
      checksum = await this.#read(expected, flow);
    } catch (error) {
      digest?.abort();
      throw error;
    }
    const found = digest === undefined ? noDigests : await digest.finish();
    return verified(flow.size, found, expected, checksum, wanted);
  }

  #expectations(): Expectations {
    return readExpectations(this.#request, this.#authentication, this.#options);
  }

  /** Of a body that is to be kept: it must say how long it is. */
  #storedExpectations(): Expectations {
    const { headers } = this.#request.http;
    if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) {
      throw new S3Error("MissingContentLength");
    }
    const expected = this.#expectations();
    checkObjectSize(expected.size);
    return expected;
  }

  /** In memory, hashed in one go: what `stream` does for a large body costs more than this for a small one. */
  async #gather(
    sizeMax: number,
    wanted: Wanted,
    expect: () => Expectations,
  ): Promise<ReceivedBody & { readonly bytes: Uint8Array }> {
    const expected = expect();
    if (expected.size !== undefined && expected.size > sizeMax) throw tooLong(sizeMax);
    const pieces: Uint8Array[] = [];
    let size = 0;
    const sink: Sink = {
      give: (piece) => {
        size += piece.length;
        if (size > sizeMax) throw tooLong(sizeMax);
        // It lies in the connection's memory.
        pieces.push(Buffer.from(piece));
      },
    };
    const reading = this.#read(expected, sink);
    const checksum = reading instanceof Promise ? await reading : reading;
    const bytes = pieces.length === 1 ? pieces[0]! : pieces.length === 0 ? noBytes : Buffer.concat(pieces, size);
    const found = new Map<DigestAlgorithm, Uint8Array>();
    for (const algorithm of neededDigests(expected, wanted)) found.set(algorithm, this.#digests.once(algorithm, bytes));
    const { md5, checksums } = verified(size, found, expected, checksum, wanted);
    return { size, md5, checksums, bytes };
  }

  /** All of it, decoded, into `sink`. The checksum that is expected, with its value. */
  #read(expected: Expectations, sink: Sink): Soon<ExpectedChecksum | undefined> {
    const { body } = this.#request.http;
    const { chunks, checksum } = expected;
    if (chunks !== undefined) return this.#readChunks(expected, chunks, sink);
    return body.size === 0 ? checksum : body.read((piece) => sink.give(piece)).then(() => checksum);
  }

  async #readChunks(
    expected: Expectations,
    chunks: NonNullable<Expectations["chunks"]>,
    sink: Sink,
  ): Promise<ExpectedChecksum | undefined> {
    const { body } = this.#request.http;
    const { checksum } = expected;
    const decoder = new AwsChunkedDecoder({
      decodedSize: expected.size!,
      signatures: chunks.chain === undefined ? undefined : new ChunkSignatures(chunks.chain),
      trailers: chunks.trailers,
    });
    await body.read((piece) => giveAll(sink, decoder.feed(piece), 0));
    const trailers = decoder.end();
    if (checksum === undefined || checksum.value !== undefined) return checksum;
    const { algorithm } = checksum;
    return { algorithm, value: checkedValue(algorithm, trailers.get(checksumHeader(algorithm))!, "trailer") };
  }
}

const noDigests: ReadonlyMap<DigestAlgorithm, Uint8Array> = new Map();

interface Sink {
  give(piece: Uint8Array): void | Promise<void>;
}

/** One after the other; a promise only where one of them waits. */
function giveAll(sink: Sink, pieces: readonly Uint8Array[], from: number): void | Promise<void> {
  for (let index = from; index < pieces.length; index++) {
    const given = sink.give(pieces[index]!);
    if (given === undefined) continue;
    // They lie in memory that is the connection's again when this returns.
    const rest = pieces.slice(index + 1).map((piece) => Buffer.from(piece));
    return given.then(() => giveAll(sink, rest, 0));
  }
}

/** Pieces to whoever takes them and to the digest; the next one comes when both are done. */
class Flow implements Sink {
  readonly #take: Take;
  readonly #digest: Digest | undefined;
  size = 0;

  constructor(take: Take, digest: Digest | undefined) {
    this.#take = take;
    this.#digest = digest;
  }

  give(piece: Uint8Array): void | Promise<void> {
    this.size += piece.length;
    if (this.size > limits.objectSizeMax) checkObjectSize(this.size);
    const digested = this.#digest?.update(piece);
    if (digested === undefined) return this.#take(piece);
    return bothDone(digested, this.#takeLater(piece));
  }

  /** What is thrown becomes a rejection, so that it is awaited together with the digest. */
  async #takeLater(piece: Uint8Array): Promise<void> {
    await this.#take(piece);
  }
}

async function bothDone(one: Promise<void>, other: Promise<void>): Promise<void> {
  await Promise.all([one, other]);
}

function tooLong(sizeMax: number): S3Error {
  return new S3Error("MaxMessageLengthExceeded", undefined, {
    elements: { MaxMessageLengthBytes: String(sizeMax) },
  });
}
