/**
 * One client's multipart uploads: parts that are sent, sent again and copied, listed, completed, aborted, or left as they
 * are until the judge looks at them. Part numbers have gaps, and not all parts are named in the end.
 */
import type { Target } from "../../src/datastore/datastore.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { Client } from "./client.ts";
import { bytesOf, type Content, sizeOf } from "./contents.ts";
import { buckets, fileTarget, keys } from "./files.ts";
import { answerOf, type OpenUpload } from "./history.ts";
import type { CallOutcome } from "./process.ts";
import type { World } from "./world.ts";

export class Uploads {
  readonly #world: World;
  readonly #client: Client;
  readonly #random: SimulatedRandom;

  constructor(world: World, client: Client, random: SimulatedRandom) {
    this.#world = world;
    this.#client = client;
    this.#random = random;
  }

  async act(bucket: string, key: string): Promise<void> {
    const { history } = this.#world;
    const upload = `upload-${history.now()}`;
    const record = { upload, bucket, key, createdAt: this.#client.now(), attributes: {} };
    const created = await this.#client.call(({ datastore }) => datastore.createUpload(record));
    if (created.kind !== "value") return;
    const open: OpenUpload = { upload, bucket, key, parts: new Map() };
    history.uploads.set(upload, open);
    await this.#putParts(open);
    await this.#list(open);
    const point = this.#random.fraction();
    if (point < 0.1) return;
    history.uploads.delete(upload);
    if (open.parts.size === 0 || point < 0.2) {
      const aborted = await this.#client.call(({ datastore }) => datastore.abortUpload(upload));
      if (aborted.kind === "value") this.#client.note("upload aborted");
      return;
    }
    await this.#complete(open);
  }

  async #putParts({ upload, parts }: OpenUpload): Promise<void> {
    const count = this.#random.between(1, 5);
    for (let part = 1, sent = 0; sent < count; sent++, part += this.#random.between(0, 2)) {
      const before = parts.get(part);
      // What has no answer may still come to pass, after whatever is sent now.
      if (before !== undefined && before.acknowledged === undefined) continue;
      parts.set(part, { acknowledged: undefined, possible: before === undefined ? [] : [before.acknowledged!] });
      const content = await this.#putPart(upload, part, parts.get(part)!.possible);
      if (content === "refused" && before !== undefined) parts.set(part, before);
      else if (content === "refused") parts.delete(part);
      else if (content !== undefined) parts.set(part, { acknowledged: content, possible: [] });
      if (this.#random.chance(0.3)) await this.#client.pause();
    }
  }

  /** The part's content; undefined where it is not known to be there, "refused" where it is not. */
  async #putPart(upload: string, part: number, possible: Content[]): Promise<Content | "refused" | undefined> {
    if (this.#random.chance(0.25)) {
      const source = await this.#client.lookUp(this.#random.pick(buckets).name, this.#random.pick(keys));
      if (source?.object === undefined) return undefined;
      const object = source.object;
      possible.push(this.#client.contentOf(source));
      const copied = await this.#client.call(({ datastore }) =>
        datastore.copyPart(object, upload, part, {}, this.#client.now()),
      );
      if (copied.kind === "value") this.#client.note("part, copied");
      return copied.kind === "value" ? this.#client.contentOf(source) : fateOf(copied);
    }
    const content = this.#client.content();
    possible.push(content);
    const target: Target = { kind: "part", upload, part, attributes: {} };
    const put = await this.#client.call(({ router }) => router.put(bytesOf(content), target, {}));
    if (put.kind === "value") this.#client.note("part");
    return put.kind === "value" ? content : fateOf(put);
  }

  /** Nobody else writes to it: what was acknowledged is there, of its size. */
  async #list({ upload, bucket, parts }: OpenUpload): Promise<void> {
    if (this.#random.chance(0.3)) {
      const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
      const found = await this.#client.call(({ datastore }) => datastore.listUploads(request));
      if (found.kind === "value") {
        this.#client.note("uploads listed");
        const isThere = found.value.items.some((record) => record.upload === upload);
        if (!isThere && !found.value.more) this.#world.history.violation(`listing: upload ${upload} is not listed`);
      }
    }
    if (this.#random.chance(0.5)) return;
    const listed = await this.#client.call(({ datastore }) => datastore.listParts(upload, 0, 1_000));
    if (listed.kind !== "value") return;
    this.#client.note("parts listed");
    for (const [part, { acknowledged }] of parts) {
      const size = listed.value.find((record) => record.part === part)?.size;
      if (acknowledged === undefined || size === sizeOf(acknowledged)) continue;
      const what = `part ${part} of ${upload}, of ${sizeOf(acknowledged)} bytes`;
      this.#world.history.violation(`durability: ${what}, was acknowledged, and is listed with ${size}`);
    }
  }

  async #complete({ upload, bucket, key, parts }: OpenUpload): Promise<void> {
    const { history } = this.#world;
    const known = [...parts].filter(([, { acknowledged }]) => acknowledged !== undefined);
    const named = known.filter((_, index) => index === 0 || this.#random.chance(0.9)).sort(([a], [b]) => a - b);
    if (named.length === 0) return;
    const tag = history.newTag(named.flatMap(([, { acknowledged }]) => acknowledged!));
    const { wanted, condition } = await this.#client.someCondition(bucket, key);
    const target = fileTarget(bucket, key, tag, condition);
    const answer = await this.#client.write(
      bucket,
      key,
      { kind: "put", tag, wanted },
      async ({ router, datastore }) => {
        const id = await router.newObjectId();
        const numbers = named.map(([part]) => part);
        await datastore.completeUpload(upload, numbers, id, {}, target, this.#client.now());
        history.objectOfTag.set(tag, id);
      },
    );
    if (answer.kind === "done") this.#client.note("upload completed");
    if (answer.kind === "unknown") this.#client.note("upload completed: outcome unknown");
    // Without a condition, CONFLICT is said of a part that is not there, and NOT_FOUND of the upload.
    if (wanted === undefined && (answer.kind === "conflict" || answer.kind === "missing")) {
      history.violation(`durability: ${upload} with parts that were acknowledged cannot be completed: ${answer.kind}`);
    }
  }
}

/** Of a part that was not acknowledged. */
function fateOf(outcome: CallOutcome<unknown>): "refused" | undefined {
  return outcome.kind === "error" && answerOf(outcome.error).kind === "refused" ? "refused" : undefined;
}
