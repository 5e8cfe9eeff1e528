/**
 * Encryption of objects: how one is encrypted that is being written, and what decrypts one that is being read.
 *
 * Envelopes: each object has a random key of its own (aws:kms:dsse: two), which is kept with its version, wrapped under
 * the client's key (SSE-C), the store's own (SSE-S3) or a named one (SSE-KMS). So a copy under another key only wraps
 * anew, and rotating a key touches no object.
 *
 * What can be done without waiting is: a promise is returned only where a key has to be looked up.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import type { Random } from "../../../env/host.ts";
import type { Bucket, CipherStretch, ObjectEncryption } from "../model.ts";
import type { Services } from "../operation.ts";
import type { AnswerHeaders } from "../protocol/answer.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { envelopeOf, hasMd5, headersOf, openLayers, wrapLayers, wrappersOf } from "./envelope.ts";
import { decryptor, newStretch, type StretchCipher } from "./key-stream.ts";
import { dataKeySize } from "./key-wrap.ts";
import {
  bucketKeyHeader,
  contextHeader,
  type CustomerKey,
  type CustomerKeyOf,
  type EncryptionRequest,
  kmsKeyHeader,
  readCustomerKey,
  readWish,
  sseHeader,
} from "./request-encryption.ts";
import { andThen, type Soon } from "../../../core/soon.ts";

/** For something that is written. */
export interface EncryptionPlan {
  /** For VersionAttributes.encryption. */
  readonly attributes: ObjectEncryption;
  /** For the answer. */
  readonly headers: AnswerHeaders;
  /** Whether the ETag of what is written in one piece is its MD5. */
  readonly etagIsMd5: boolean;
  /** The ETag: the MD5 where it is that, otherwise 32 hex digits that say nothing of the bytes to who has no key. */
  etagOf(md5: Uint8Array): string;
  newStretch(): StretchCipher;
}

/** For something that is read. */
export interface Decryption {
  /** For the answer. */
  readonly headers: AnswerHeaders;
  /** Of an object's bytes from `offset` on, in order; the object is all stretches (ObjectAttributes.cipher). */
  decryptor(stretches: readonly CipherStretch[], offset: number): (bytes: Uint8Array) => Uint8Array;
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * How the request (PutObject, POST, CopyObject, CreateMultipartUpload) wants its object encrypted, or the bucket by
 * default; undefined: not at all.
 */
export function planEncryption(
  services: Services,
  bucket: Bucket,
  request: EncryptionRequest,
): Soon<EncryptionPlan | undefined> {
  const { encryption } = bucket.attributes;
  const wish = readWish(request, encryption, overHttp(services));
  if (wish === undefined) return undefined;
  if (wish.mode === "SSE-C" && encryption?.blocked === "SSE-C") throw blocked();
  const envelope = envelopeOf(wish, services.settings.region);
  const contextHeaders = envelope.binding.context === undefined ? {} : { [contextHeader]: envelope.binding.context };
  const headers = { ...headersOf(envelope.about), ...contextHeaders };
  return andThen(wrappersOf(services.keyring, wish, envelope), (wrappers) => {
    const { random } = services.host;
    const layers = wrappers.map(() => createSecretKey(random.bytes(dataKeySize)));
    const wrap = (keys: readonly KeyObject[]): ObjectEncryption => wrapLayers(random, envelope, wrappers, keys);
    return new Plan(random, layers, headers, wrap(layers), wrap);
  });
}

/**
 * The plan of an upload (UploadAttributes.version.encryption), for one of its parts. A part of an SSE-C upload has to
 * come with the same key; that an SSE-S3 or SSE-KMS header comes with a part changes nothing, as with AWS.
 */
export function resumePlan(
  services: Services,
  encryption: ObjectEncryption | undefined,
  request: EncryptionRequest,
): Soon<EncryptionPlan | undefined> {
  const customer = customerKeyOf(services, request);
  if ((encryption?.mode === "SSE-C") !== (customer !== undefined)) {
    const message = "The multipart upload initiate requested encryption.";
    const rest = "Subsequent part requests must include the appropriate encryption parameters.";
    throw new S3Error("InvalidRequest", `${message} ${rest}`);
  }
  if (encryption === undefined) return undefined;
  const opened = openLayers(services.keyring, encryption, customer, () => notTheOriginalKey());
  return andThen(opened, (layers) => new Plan(services.host.random, layers, headersOf(encryption), encryption));
}

/**
 * For CompleteMultipartUpload: the answer's headers. SSE-C headers must fit where they come, and must come where the
 * upload named a checksum algorithm (`keyRequired`).
 */
export function completeEncryption(
  services: Services,
  encryption: ObjectEncryption | undefined,
  request: EncryptionRequest,
  keyRequired: boolean,
): Soon<AnswerHeaders> {
  const customer = customerKeyOf(services, request);
  if (encryption?.mode !== "SSE-C") {
    if (customer !== undefined) throw notTheOriginalKey();
    return encryption === undefined ? {} : headersOf(encryption);
  }
  if (customer === undefined) {
    if (!keyRequired) return {};
    const message = "must provide a valid encryption algorithm.";
    const what = "Requests specifying Server Side Encryption with Customer provided keys";
    throw invalidArgument(sseHeader, "null", `${what} ${message}`);
  }
  return andThen(
    openLayers(services.keyring, encryption, customer, () => notTheOriginalKey()),
    () => headersOf(encryption),
  );
}

/**
 * Wraps the key of what is copied under the plan of the copy (planEncryption's): the copy has the very same bytes on
 * disk and the same stretches. Undefined where that cannot be and the bytes have to be read, decrypted and written anew:
 * where the number of layers differs, and where the copy's ETag has to be an MD5 that the original's is not.
 */
export function rewrap(decryption: Decryption, plan: EncryptionPlan): ObjectEncryption | undefined {
  if (!(decryption instanceof Opened) || !(plan instanceof Plan)) return undefined;
  if (plan.etagIsMd5 && !decryption.etagIsMd5) return undefined;
  return plan.wrapAgain(decryption.layers);
}

/** The ETag of what `rewrap` copies: an MD5 stays one only where the copy's may be. */
export function copiedEtag(etag: string, plan: EncryptionPlan): string {
  const isMd5 = /^[0-9a-f]{32}$/.test(etag);
  return isMd5 && !plan.etagIsMd5 ? plan.etagOf(Buffer.from(etag, "hex")) : etag;
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What decrypts an object, if it is encrypted. Of an object under SSE-C the request has to have the key (`of`: in which
 * headers); of others it must have none.
 */
export function openEncryption(
  services: Services,
  attributes: { readonly encryption?: ObjectEncryption },
  request: EncryptionRequest,
  of: CustomerKeyOf = "request",
): Soon<Decryption | undefined> {
  if (of === "request") refuseWriteHeaders(request);
  const customer = customerKeyOf(services, request, of);
  const { encryption } = attributes;
  if (encryption?.mode !== "SSE-C" && customer !== undefined) {
    throw new S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.");
  }
  if (encryption === undefined) return undefined;
  if (encryption.mode === "SSE-C" && customer === undefined) {
    const message = "The object was stored using a form of Server Side Encryption.";
    throw new S3Error("InvalidRequest", `${message} The correct parameters must be provided to retrieve the object.`);
  }
  return andThen(
    openLayers(services.keyring, encryption, customer, () => wrongKey()),
    (layers) => new Opened(layers, headersOf(encryption), hasMd5(encryption)),
  );
}

function customerKeyOf(
  services: Services,
  request: EncryptionRequest,
  of: CustomerKeyOf = "request",
): CustomerKey | undefined {
  return readCustomerKey(request, of, overHttp(services));
}

function overHttp({ settings }: Services): boolean {
  return settings.customerKeysOverHttp ?? false;
}

/** How something is encrypted is not for a reader to choose. */
function refuseWriteHeaders(request: EncryptionRequest): void {
  for (const name of [sseHeader, kmsKeyHeader, contextHeader, bucketKeyHeader]) {
    const value = request.header(name);
    if (value !== undefined) throw invalidArgument(name, value, `${name} header is not supported for this operation.`);
  }
}

function wrongKey(): S3Error {
  const message = "must provide the correct secret key.";
  return new S3Error(
    "AccessDenied",
    `Requests specifying Server Side Encryption with Customer provided keys ${message}`,
  );
}

function notTheOriginalKey(): S3Error {
  return new S3Error("InvalidRequest", "The provided encryption parameters did not match the ones used originally.");
}

function blocked(): S3Error {
  const message =
    "This bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys";
  return new S3Error("AccessDenied", `${message} (SSE-C). Please specify a different server-side encryption type`);
}

class Plan implements EncryptionPlan {
  readonly attributes: ObjectEncryption;
  readonly headers: AnswerHeaders;
  readonly etagIsMd5: boolean;
  readonly #random: Random;
  readonly #layers: readonly KeyObject[];
  readonly #wrap: ((layers: readonly KeyObject[]) => ObjectEncryption) | undefined;

  /** `wrap`: where other keys can take the place of these. */
  constructor(
    random: Random,
    layers: readonly KeyObject[],
    headers: AnswerHeaders,
    attributes: ObjectEncryption,
    wrap?: (layers: readonly KeyObject[]) => ObjectEncryption,
  ) {
    this.#random = random;
    this.#layers = layers;
    this.#wrap = wrap;
    this.headers = headers;
    this.attributes = attributes;
    this.etagIsMd5 = hasMd5(attributes);
  }

  etagOf(md5: Uint8Array): string {
    if (this.etagIsMd5) return Buffer.from(md5.buffer, md5.byteOffset, md5.length).toString("hex");
    return createHmac("sha256", this.#layers[0]!).update("etag").update(md5).digest("hex").slice(0, 32);
  }

  newStretch(): StretchCipher {
    return newStretch(this.#random, this.#layers);
  }

  wrapAgain(layers: readonly KeyObject[]): ObjectEncryption | undefined {
    return layers.length === this.#layers.length ? this.#wrap?.(layers) : undefined;
  }
}

class Opened implements Decryption {
  readonly headers: AnswerHeaders;
  readonly layers: readonly KeyObject[];
  readonly etagIsMd5: boolean;

  constructor(layers: readonly KeyObject[], headers: AnswerHeaders, etagIsMd5: boolean) {
    this.layers = layers;
    this.headers = headers;
    this.etagIsMd5 = etagIsMd5;
  }

  decryptor(stretches: readonly CipherStretch[], offset: number): (bytes: Uint8Array) => Uint8Array {
    return decryptor(this.layers, stretches, offset);
  }
}
