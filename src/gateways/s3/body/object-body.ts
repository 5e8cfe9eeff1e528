/**
 * The bytes of a stored object as the body of another one: for copies that cannot share them (another encryption), and
 * for checksums that are asked for later.
 */
import { StoreError } from "../../../core/errors.ts";
import type { SavedObject } from "../../../datastore/datastore.ts";
import type { Digests } from "../../../env/digests.ts";
import type { Router } from "../../../router/router.ts";
import { type ChecksumAlgorithm, type Checksums, digestOf } from "./checksum.ts";
import type { ReceivedBody, RequestBody, Wanted } from "./request-body.ts";

export interface ObjectBodyOptions {
  readonly router: Router;
  readonly digests: Digests;
  readonly object: SavedObject;
  readonly offset: number;
  readonly length: number;
  /** Opens encrypted bytes, in order from `offset` on. */
  readonly decrypt: ((bytes: Uint8Array) => Uint8Array) | undefined;
}

export function objectBody(options: ObjectBodyOptions): RequestBody {
  const { length: size } = options;
  const receive: RequestBody["receive"] = async (sizeMax, wanted) => {
    if (size > sizeMax) throw new StoreError("INVALID", `an object of ${size} bytes: at most ${sizeMax}`);
    const bytes = new Uint8Array(size);
    let at = 0;
    const received = await stream(options, wanted, (piece) => {
      bytes.set(piece, at);
      at += piece.length;
    });
    return { ...received, bytes };
  };
  return {
    size,
    algorithm: undefined,
    collect: async (sizeMax) => (await receive(sizeMax, { md5: false })).bytes,
    receive,
    stream: (take, wanted) => stream(options, wanted, take),
  };
}

async function stream(
  { router, digests, object, offset, length, decrypt }: ObjectBodyOptions,
  { md5, algorithm }: Wanted,
  take: (piece: Uint8Array) => void | Promise<void>,
): Promise<ReceivedBody> {
  const digest = digests.open(
    [...(md5 ? ["md5" as const] : []), ...(algorithm === undefined ? [] : [digestOf(algorithm)])],
    length,
  );
  try {
    for await (const { buffer, skip, take: count } of router.read(object, offset, length)) {
      try {
        const stored = buffer.data.subarray(skip, skip + count);
        const bytes = decrypt?.(stored) ?? stored;
        await digest.update(bytes);
        await take(bytes);
      } finally {
        buffer.release();
      }
    }
    const sums = await digest.finish();
    return { size: length, md5: sums.get("md5"), checksums: checksumsOf(algorithm, sums) };
  } catch (error) {
    digest.abort();
    throw error;
  }
}

function checksumsOf(algorithm: ChecksumAlgorithm | undefined, sums: ReadonlyMap<string, Uint8Array>): Checksums {
  if (algorithm === undefined) return {};
  return { [algorithm]: Buffer.from(sums.get(digestOf(algorithm))!).toString("base64") };
}
