/**
 * What a router answers about encryption keys on its response port (docs/formats/wire.md), for `data-putter
 * encryption-key`:
 *
 *   sseadd     body: JSON { name }                                             → json key
 *   sserot     body: JSON { name }                                             → json key
 *   sselist                                                                    → json { keys } …
 *
 * Keys themselves never leave the router.
 */
import { StoreError } from "../core/errors.ts";
import type { KeyDescription, Keyring } from "../gateways/s3/encryption/keyring.ts";
import { fields, line, listOf, type Shape, time, whole } from "../wire/answer-shape.ts";
import type { Handler } from "../wire/request-server.ts";

/** Keys in one JSON value: it stays below what a message may have. */
const keysPerAnswer = 100;

export const keyAnswer: Shape<KeyDescription> = fields<KeyDescription>({
  name: line,
  createdAt: time,
  version: whole,
  rotatedAt: time,
});

interface KeyPage {
  readonly keys: readonly KeyDescription[];
}
export const keyListAnswer: Shape<KeyPage> = fields<KeyPage>({ keys: listOf(keyAnswer) });

/** Takes requests about encryption keys, and hands all others on. */
export function encryptionKeyRequests(keyring: Keyring, others: Handler): Handler {
  return async (request, body, reply) => {
    switch (request.operation) {
      case "sseadd":
        return reply.json((await keyring.add(nameIn(body))) satisfies KeyDescription);
      case "sserot":
        return reply.json((await keyring.rotate(nameIn(body))) satisfies KeyDescription);
      case "sselist": {
        const keys = await keyring.list();
        for (let at = 0; at === 0 || at < keys.length; at += keysPerAnswer) {
          await reply.json({ keys: keys.slice(at, at + keysPerAnswer) } satisfies KeyPage);
        }
        return;
      }
      default:
        return others(request, body, reply);
    }
  };
}

function nameIn(body: Uint8Array): string {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch (cause) {
    throw new StoreError("INVALID", "body: must be JSON", { cause });
  }
  const name = typeof value === "object" && value !== null && "name" in value ? value.name : undefined;
  if (typeof name !== "string") throw new StoreError("INVALID", "name: must be given, as a string");
  return name;
}
