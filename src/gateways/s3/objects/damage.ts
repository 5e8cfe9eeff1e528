/**
 * What is said where stored bytes are damaged: to the log, at once, all that helps to find them, by the names of those who
 * miss them; to the client that it is damage and where in its object, not where in the store.
 */
import { messageOf, StoreError } from "../../../core/errors.ts";
import { formatId } from "../../../core/ids.ts";
import type { SavedObject } from "../../../datastore/datastore.ts";
import { damageIn } from "../../../router/object-reader.ts";
import type { RequestBody } from "../body/request-body.ts";
import type { Services } from "../operation.ts";
import { S3Error } from "../protocol/error.ts";

export interface ReadVersion {
  readonly request: string;
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  readonly object: SavedObject;
}

/** What is thrown instead of an error of reading this version: the same one where it is not about damage. */
export async function explainDamage(services: Services, read: ReadVersion, error: unknown): Promise<unknown> {
  if (!(error instanceof StoreError) || error.code !== "DAMAGED") return error;
  const { host, datastore } = services;
  const record = await datastore.getObject(read.object.id).catch(() => read.object);
  if (record?.status !== "saved") {
    const message = "The object was overwritten or deleted while it was being read. Please try again.";
    return new S3Error("ServiceUnavailable", message, { cause: error });
  }
  const damage = damageIn(error);
  const where = damage === undefined ? {} : { offset: damage.position, volume: damage.volume, place: damage.place };
  const fields = { ...read, object: formatId(read.object.id), ...where, error: messageOf(error) };
  host.log.error("a stored object is damaged", fields);
  const at = damage === undefined ? "" : ` at byte ${damage.position}`;
  const message = `The stored object is damaged${at}: what is there is not what was stored, and is not handed out.`;
  return new S3Error("InternalError", message, { cause: error, isTold: true });
}

/** The bytes of a stored version as a body, whose damage is explained as that of a read. */
export function explainingBody(services: Services, read: ReadVersion, body: RequestBody): RequestBody {
  const explained = async <Value>(reading: Promise<Value>): Promise<Value> => {
    try {
      return await reading;
    } catch (error) {
      throw await explainDamage(services, read, error);
    }
  };
  return {
    size: body.size,
    algorithm: body.algorithm,
    collect: (sizeMax) => explained(body.collect(sizeMax)),
    receive: (sizeMax, wanted) => explained(body.receive(sizeMax, wanted)),
    stream: (take, wanted) => explained(body.stream(take, wanted)),
  };
}
