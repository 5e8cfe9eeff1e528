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
import { StoreError } from "../../../core/errors.ts";
import type { Random } from "../../../env/host.ts";
import type { Bucket, CipherStretch, ObjectEncryption } from "../model.ts";
import type { Services } from "../operation.ts";
import type { AnswerHeaders } from "../protocol/answer.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { decryptor, newStretch, type StretchCipher } from "./key-stream.ts";
import { type Binding, dataKeySize, unwrapKey, wrapKey, type WrappingKey, wrappingVersionOf } from "./key-wrap.ts";
import { ownKeyName } from "./keyring.ts";
import { defaultKeyId, keyNameOf, keyNotFound } from "./kms-key.ts";
import {
  bucketKeyHeader,
  contextHeader,
  type CustomerKey,
  type CustomerKeyOf,
  type EncryptionRequest,
  isFullSize,
  kmsKeyHeader,
  readCustomerKey,
  readWish,
  sseHeader,
  type Wish,
} from "./request-encryption.ts";

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

export type Soon<Value> = Value | Promise<Value>;

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
  const wish = readWish(request, encryption, services.settings.customerKeysOverHttp ?? false);
  if (wish === undefined) return undefined;
  if (wish.mode === "SSE-C" && encryption?.blocked === "SSE-C") throw blocked();
  const envelope = envelopeOf(wish, services.settings.region);
  const contextHeaders = envelope.binding.context === undefined ? {} : { [contextHeader]: envelope.binding.context };
  const headers = { ...headersOf(envelope.about), ...contextHeaders };
  return then(wrappersOf(services, wish, envelope), (wrappers) => {
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
  const customer = readCustomerKey(request, "request", services.settings.customerKeysOverHttp ?? false);
  if ((encryption?.mode === "SSE-C") !== (customer !== undefined)) {
    const message = "The multipart upload initiate requested encryption.";
    const rest = "Subsequent part requests must include the appropriate encryption parameters.";
    throw new S3Error("InvalidRequest", `${message} ${rest}`);
  }
  if (encryption === undefined) return undefined;
  const opened = openLayers(services, encryption, customer, () => notTheOriginalKey());
  return then(opened, (layers) => new Plan(services.host.random, layers, headersOf(encryption), encryption));
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
  const customer = readCustomerKey(request, "request", services.settings.customerKeysOverHttp ?? false);
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
  return then(
    openLayers(services, encryption, customer, () => notTheOriginalKey()),
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
  const customer = readCustomerKey(request, of, services.settings.customerKeysOverHttp ?? false);
  const { encryption } = attributes;
  if (encryption?.mode !== "SSE-C" && customer !== undefined) {
    throw new S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.");
  }
  if (encryption === undefined) return undefined;
  if (encryption.mode === "SSE-C" && customer === undefined) {
    const message = "The object was stored using a form of Server Side Encryption.";
    throw new S3Error("InvalidRequest", `${message} The correct parameters must be provided to retrieve the object.`);
  }
  return then(
    openLayers(services, encryption, customer, () => wrongKey()),
    (layers) => new Opened(layers, headersOf(encryption), hasMd5(encryption)),
  );
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

// ── envelopes ───────────────────────────────────────────────────────────────────────────────────────────────────────

type About = Omit<ObjectEncryption, "wrapped">;

/** What an object's encryption is called, and what its first key is bound to. */
interface Envelope {
  readonly about: About;
  readonly binding: Binding;
}

/** Between the wrapped keys of several layers; not in base64. */
const layerSeparator = ",";

function envelopeOf(wish: Wish, region: string): Envelope {
  switch (wish.mode) {
    case "SSE-C":
      return envelopeAbout({ mode: wish.mode, keyMd5: wish.customer.md5 });
    case "SSE-S3":
      return envelopeAbout({ mode: wish.mode });
    default:
      return envelopeAbout({
        mode: wish.mode,
        keyId: wish.keyId ?? defaultKeyId(region),
        ...(wish.bucketKey ? { bucketKey: true } : {}),
        ...(wish.context === undefined ? {} : { context: wish.context }),
      });
  }
}

function envelopeAbout(about: About): Envelope {
  return { about, binding: { mode: about.mode, name: wrappingNameOf(about), context: about.context } };
}

/** Name in the keyring; empty for a customer's key. */
function wrappingNameOf({ mode, keyId }: About): string {
  if (mode === "SSE-C") return "";
  return mode === "SSE-S3" ? ownKeyName : keyNameOf(keyId ?? "");
}

function hasMd5({ mode }: About): boolean {
  return mode === "SSE-S3";
}

/** The second layer's key is always under the store's own key. */
function secondBinding(binding: Binding): Binding {
  return { ...binding, name: ownKeyName };
}

/** What each layer's key is wrapped with: first the one that was wished for. */
function wrappersOf(services: Services, wish: Wish, envelope: Envelope): Soon<readonly WrappingKey[]> {
  if (wish.mode === "SSE-C") return [{ key: wish.customer.key, version: 0 }];
  const { keyring } = services;
  const first = then(keyring.wrapping(envelope.binding.name), (key) => {
    if (key !== undefined) return key;
    throw keyNotFound(envelope.about.keyId ?? "");
  });
  if (wish.mode !== "SSE-KMS-DSSE") return then(first, (key) => [key]);
  return then(first, (key) => then(keyring.wrapping(ownKeyName), (own) => [key, own!]));
}

/** The object's keys. `refused` makes the error for a customer's key that does not fit. */
function openLayers(
  services: Services,
  encryption: ObjectEncryption,
  customer: CustomerKey | undefined,
  refused: () => S3Error,
): Soon<readonly KeyObject[]> {
  const { binding } = envelopeAbout(encryption);
  if (customer !== undefined) {
    const opened = isFullSize(customer) ? unwrapKey(customer.key, binding, encryption.wrapped) : undefined;
    if (opened === undefined) throw refused();
    return [createSecretKey(opened)];
  }
  const [first = "", second] = encryption.wrapped.split(layerSeparator);
  const opened = openLayer(services, binding, first);
  if (second === undefined) return then(opened, (key) => [key]);
  return then(opened, (key) => then(openLayer(services, secondBinding(binding), second), (own) => [key, own]));
}

function openLayer({ keyring }: Services, binding: Binding, wrapped: string): Soon<KeyObject> {
  return then(keyring.unwrapping(binding.name, wrappingVersionOf(wrapped)), (key) => {
    const opened = unwrapKey(key, binding, wrapped);
    if (opened === undefined) {
      throw new StoreError("DAMAGED", `the object's key does not open with encryption key ${binding.name}`);
    }
    return createSecretKey(opened);
  });
}

function wrapLayers(
  random: Random,
  { about, binding }: Envelope,
  wrappers: readonly WrappingKey[],
  layers: readonly KeyObject[],
): ObjectEncryption {
  const wrapped = layers.map((layer, index) =>
    wrapKey(random, wrappers[index]!, index === 0 ? binding : secondBinding(binding), layer.export()),
  );
  return { ...about, wrapped: wrapped.join(layerSeparator) };
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

/** What answers say of it, to those who may write or read it. */
function headersOf({ mode, keyId, keyMd5 = "", bucketKey }: About): AnswerHeaders {
  switch (mode) {
    case "SSE-C":
      return {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key-MD5": keyMd5,
      };
    case "SSE-S3":
      return { [sseHeader]: "AES256" };
    default:
      return {
        [sseHeader]: mode === "SSE-KMS" ? "aws:kms" : "aws:kms:dsse",
        [kmsKeyHeader]: keyId ?? "",
        ...(bucketKey === true ? { [bucketKeyHeader]: "true" } : {}),
      };
  }
}

function then<From, To>(value: Soon<From>, next: (value: From) => Soon<To>): Soon<To> {
  return value instanceof Promise ? value.then(next) : next(value);
}
