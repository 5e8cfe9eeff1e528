/**
 * What an object's encryption is called, and the wrapping of its keys (docs/formats/s3.md, "Encryption"; permanent).
 *
 * Layers are keys that are applied one after the other: one, or two for aws:kms:dsse, the second of which is always
 * under the store's own key.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { StoreError } from "../../../core/errors.ts";
import type { Random } from "../../../env/host.ts";
import type { ObjectEncryption } from "../model.ts";
import type { AnswerHeaders } from "../protocol/answer.ts";
import type { S3Error } from "../protocol/error.ts";
import { type Binding, unwrapKey, wrapKey, type WrappingKey, wrappingVersionOf } from "./key-wrap.ts";
import { type Keyring, ownKeyName } from "./keyring.ts";
import { defaultKeyId, keyNameOf, keyNotFound } from "./kms-key.ts";
import {
  bucketKeyHeader,
  type CustomerKey,
  isFullSize,
  kmsKeyHeader,
  sseHeader,
  type Wish,
} from "./request-encryption.ts";
import { type Soon, andThen } from "../../../core/soon.ts";

export type About = Omit<ObjectEncryption, "wrapped">;

/** What an object's encryption is called, and what its first key is bound to. */
export interface Envelope {
  readonly about: About;
  readonly binding: Binding;
}

/** Between the wrapped keys of several layers; not in base64. */
const layerSeparator = ",";

export function envelopeOf(wish: Wish, region: string): Envelope {
  if (wish.mode === "SSE-C") return envelopeAbout({ mode: wish.mode, keyMd5: wish.customer.md5 });
  if (wish.mode === "SSE-S3") return envelopeAbout({ mode: wish.mode });
  return envelopeAbout({
    mode: wish.mode,
    keyId: wish.keyId ?? defaultKeyId(region),
    ...(wish.bucketKey ? { bucketKey: true } : {}),
    ...(wish.context === undefined ? {} : { context: wish.context }),
  });
}

function envelopeAbout(about: About): Envelope {
  return { about, binding: { mode: about.mode, name: wrappingNameOf(about), context: about.context } };
}

/** Name in the keyring; empty for a customer's key. */
function wrappingNameOf({ mode, keyId }: About): string {
  if (mode === "SSE-C") return "";
  return mode === "SSE-S3" ? ownKeyName : keyNameOf(keyId ?? "");
}

/** Whether the ETag of an object that was written in one piece is its MD5 (docs.aws.amazon.com, "Object", ETag). */
export function hasMd5({ mode }: About): boolean {
  return mode === "SSE-S3";
}

/** The second layer's key is always under the store's own key. */
function secondBinding(binding: Binding): Binding {
  return { ...binding, name: ownKeyName };
}

/** What each layer's key is wrapped with: first the one that was wished for. */
export function wrappersOf(keyring: Keyring, wish: Wish, envelope: Envelope): Soon<readonly WrappingKey[]> {
  if (wish.mode === "SSE-C") return [{ key: wish.customer.key, version: 0 }];
  const first = andThen(keyring.wrapping(envelope.binding.name), (key) => {
    if (key !== undefined) return key;
    throw keyNotFound(envelope.about.keyId ?? "");
  });
  if (wish.mode !== "SSE-KMS-DSSE") return andThen(first, (key) => [key]);
  return andThen(first, (key) => andThen(keyring.wrapping(ownKeyName), (own) => [key, own!]));
}

/** The object's keys. `refused` makes the error for a customer's key that does not fit. */
export function openLayers(
  keyring: Keyring,
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
  const opened = openLayer(keyring, binding, first);
  if (second === undefined) return andThen(opened, (key) => [key]);
  return andThen(opened, (key) => andThen(openLayer(keyring, secondBinding(binding), second), (own) => [key, own]));
}

function openLayer(keyring: Keyring, binding: Binding, wrapped: string): Soon<KeyObject> {
  return andThen(keyring.unwrapping(binding.name, wrappingVersionOf(wrapped)), (key) => {
    const opened = unwrapKey(key, binding, wrapped);
    if (opened === undefined) {
      throw new StoreError("DAMAGED", `the object's key does not open with encryption key ${binding.name}`);
    }
    return createSecretKey(opened);
  });
}

export function wrapLayers(
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

/** What answers say of it, to those who may write or read it. */
export function headersOf({ mode, keyId, keyMd5 = "", bucketKey }: About): AnswerHeaders {
  if (mode === "SSE-C") {
    return {
      "x-amz-server-side-encryption-customer-algorithm": "AES256",
      "x-amz-server-side-encryption-customer-key-MD5": keyMd5,
    };
  }
  if (mode === "SSE-S3") return { [sseHeader]: "AES256" };
  return {
    [sseHeader]: mode === "SSE-KMS" ? "aws:kms" : "aws:kms:dsse",
    [kmsKeyHeader]: keyId ?? "",
    ...(bucketKey === true ? { [bucketKeyHeader]: "true" } : {}),
  };
}
