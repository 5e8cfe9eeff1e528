/** One client of the simulated cluster: asks for one thing after the other, and notes down what it is told. */
import type { StoreError } from "../../src/core/errors.ts";
import { ticketDataSize } from "../../src/core/frame.ts";
import type { Condition, SavedObject, Target, VersionRecord } from "../../src/datastore/datastore.ts";
import { delay } from "../../src/env/host.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { bytesOf, type Content, differenceAt, sizeOf } from "./contents.ts";
import { buckets, fileTarget, keys, tagOf } from "./files.ts";
import {
  type Answer,
  answerOf,
  GivenUp,
  type History,
  type Input,
  isBug,
  type Operation,
  type Wanted,
} from "./history.ts";
import { Listings } from "./listings.ts";
import type { CallOutcome, SupervisedProcess } from "./process.ts";
import { describeError, type RunningRouterRole } from "./roles.ts";
import type { Streams } from "./streams.ts";
import { Uploads } from "./uploads.ts";
import type { World } from "./world.ts";

const boundarySizes = [0, 1, 1457, 1458, 1459, 2915, 2916, 2917, 20_000, 262_440, 262_441, 400_000];
const groupSize = 2048 * 1458;

export class Client {
  /** What it waits for now. */
  doing = "";
  readonly name: string;
  readonly #world: World;
  readonly #history: History;
  readonly #random: SimulatedRandom;
  readonly #streams: Streams;
  readonly #uploads: Uploads;
  readonly #listings: Listings;
  /** Objects of whole groups that it may still write: they are dear to simulate. */
  #largeLeft: number;
  readonly #pauseMaxMs: number;
  readonly #sizes: readonly number[];
  #failed = false;

  constructor(world: World, name: string, random: SimulatedRandom, streams: Streams) {
    this.#world = world;
    this.#history = world.history;
    this.name = name;
    this.#random = random;
    this.#streams = streams;
    this.#uploads = new Uploads(world, this, random);
    this.#listings = new Listings(world, this, random);
    const isDeep = world.depths.has(3) || world.depths.has(4);
    this.#largeLeft = random.chance(0.2) && !isDeep ? 2 : 0;
    this.#sizes = isDeep ? boundarySizes.slice(0, 9) : boundarySizes;
    this.#pauseMaxMs = random.pick([20, 200, 2_000]);
  }

  /** Longer after something was not answered, so that an outage is not all that it sees. */
  async pause(): Promise<void> {
    const maxMs = this.#failed ? Math.max(1_500, this.#pauseMaxMs) : this.#pauseMaxMs;
    this.#failed = false;
    await delay(this.#world.client.clock, this.#random.fraction() * maxMs);
  }

  /** Any one operation. */
  async act(): Promise<void> {
    const { random, bucket, key } = this.#choose();
    const weights: readonly (readonly [number, string, () => Promise<unknown>])[] = [
      [22, "put", () => this.#put(bucket, key)],
      [4, "streamed put", () => this.#putStreamed(bucket, key)],
      [10, "delete", () => this.#delete(bucket, key)],
      [6, "delete a version", () => this.#deleteVersion(bucket, key)],
      [20, "read", () => this.#read(bucket, key)],
      [6, "copy", () => this.#copy(bucket, key)],
      [6, "upload", () => this.#uploads.act(bucket, key)],
      [6, "list files", () => this.#listings.files(bucket)],
      [4, "list versions", () => this.listVersions(bucket)],
      [4, "list versions in pages", () => this.#listings.versionsInPages(bucket)],
      [4, "read an older version", () => this.#readOlder(bucket, key)],
      [4, "contend", () => this.#contend(bucket, key)],
      [2, "set versioning", () => this.#setVersioning()],
      [6, "stream", () => this.#streams.act(this.content())],
    ];
    let point = random.fraction() * weights.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, name, work] of weights) {
      point -= weight;
      if (point > 0) continue;
      this.doing = name;
      this.#world.trace.add(this.name, name);
      this.#history.operationCount++;
      await work();
      this.doing = "";
      return;
    }
  }

  content(): Content {
    const random = this.#random;
    const isLarge = this.#largeLeft > 0 && random.chance(0.05);
    if (isLarge) this.#largeLeft--;
    const size = isLarge
      ? groupSize * random.between(1, 2) + random.pick([-1, 0, 1, 5_000])
      : random.chance(0.6)
        ? random.pick(this.#sizes.slice(0, random.chance(0.7) ? 9 : 12))
        : random.below(30_000);
    return [{ seed: random.uint32(), size }];
  }

  // ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #put(bucket: string, key: string): Promise<void> {
    const content = this.content();
    const tag = this.#history.newTag(content);
    const { wanted, condition } = await this.someCondition(bucket, key);
    const target = fileTarget(bucket, key, tag, condition);
    await this.write(bucket, key, { kind: "put", tag, wanted }, async ({ router }) => {
      const { id, version } = await router.put(bytesOf(content), target, {});
      this.#history.objectOfTag.set(tag, id);
      if (version !== undefined && this.#history.isWritten(bucket, key, tag)) this.note("put: overwrites");
      if (sizeOf(content) >= groupSize) this.note("put: larger than a group");
    });
  }

  /** Several at once of which one at most can be first. */
  async #contend(bucket: string, key: string): Promise<void> {
    await this.#delete(bucket, key);
    const condition = { kind: "absent" } as const;
    this.note("several puts, absent, at once");
    const writes = Array.from({ length: this.#random.between(2, 6) }, async () => {
      await delay(this.#world.client.clock, this.#random.fraction() * 4);
      const content = this.content();
      const tag = this.#history.newTag(content);
      const target = fileTarget(bucket, key, tag, condition);
      await this.write(bucket, key, { kind: "put", tag, wanted: condition }, async ({ router }) => {
        const { id } = await router.put(bytesOf(content), target, {});
        this.#history.objectOfTag.set(tag, id);
      });
    });
    await Promise.all(writes);
  }

  /** As a gateway does with a body that arrives: in pieces, of a length that may not be known, given up at times. */
  async #putStreamed(bucket: string, key: string): Promise<void> {
    const content = this.content();
    const tag = this.#history.newTag(content);
    const target = fileTarget(bucket, key, tag);
    const givesUp = this.#random.chance(0.1);
    await this.write(bucket, key, { kind: "put", tag, wanted: undefined }, async ({ router }) => {
      if (givesUp) this.note("streamed put, given up");
      const { id } = await this.#stream(router, content, target, givesUp);
      this.note("streamed put");
      this.#history.objectOfTag.set(tag, id);
    });
  }

  async #stream(router: RunningRouterRole["router"], content: Content, target: Target, givesUp: boolean) {
    const bytes = bytesOf(content);
    let wake = (): void => undefined;
    const writer = await router.openWriter({
      ...(this.#random.chance(0.5) ? { sizeHint: bytes.length } : {}),
      onRoom: () => wake(),
      onFailure: () => wake(),
    });
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + this.#random.between(1, Math.max(65_536, bytes.length / 8)));
      for (let done = writer.offer(piece); done < piece.length; done += writer.offer(piece.subarray(done))) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      at += piece.length;
      if (this.#random.chance(0.1)) await delay(this.#world.client.clock, this.#random.fraction() * 50);
      if (this.#random.chance(0.05)) writer.park();
    }
    if (givesUp) {
      const error = new GivenUp();
      await writer.abort(error);
      throw error;
    }
    return writer.finish(target, {});
  }

  async #delete(bucket: string, key: string): Promise<void> {
    const tag = this.#history.newTag([]);
    const { wanted, condition } = await this.someCondition(bucket, key);
    if (wanted?.kind === "absent") return;
    await this.write(bucket, key, { kind: "delete", tag, wanted }, ({ datastore }) =>
      datastore.deleteFile(bucket, key, this.now(), condition, { tag }),
    );
  }

  async #deleteVersion(bucket: string, key: string): Promise<void> {
    const versions = (await this.listVersions(bucket))?.filter((version) => version.key === key) ?? [];
    if (versions.length === 0) return;
    const { version, attributes } = this.#random.pick(versions);
    const tag = version === "null" ? undefined : Number(attributes["tag"]);
    const operation = this.#history.begin(bucket, key, this.name, { kind: "deleteVersion", tag });
    const outcome = await this.call(({ datastore }) => datastore.deleteVersion(bucket, key, version));
    if (outcome.kind === "value") {
      const tags = outcome.value === undefined ? [] : [tagOf(outcome.value)];
      if (tags.length > 0) this.note("delete a version");
      this.#history.end(operation, { kind: "tags", tags });
    } else this.end(operation, outcome);
  }

  async #copy(bucket: string, key: string): Promise<void> {
    const source = await this.lookUp(this.#random.pick(buckets).name, this.#random.pick(keys));
    if (source?.object === undefined) return;
    const tag = this.#history.newTag(this.contentOf(source));
    const object = source.object;
    this.#history.objectOfTag.set(tag, object);
    const operation = this.#history.begin(bucket, key, this.name, { kind: "put", tag, wanted: undefined });
    const outcome = await this.call(({ datastore }) =>
      datastore.copyVersion(object, fileTarget(bucket, key, tag), this.now()),
    );
    this.end(operation, outcome);
    this.note(outcome.kind === "value" ? "copy" : "copy: outcome unknown");
  }

  async #setVersioning(): Promise<void> {
    const { name } = buckets.find(({ changes }) => changes)!;
    const versioning = this.#random.pick(["enabled", "suspended"] as const);
    const operations = keys.map((key) =>
      this.#history.begin(name, key, this.name, { kind: "setVersioning", versioning }),
    );
    const outcome = await this.call(({ datastore }) => datastore.updateBucket(name, { versioning }));
    if (outcome.kind === "value") this.note(`versioning ${versioning}`);
    for (const operation of operations) this.end(operation, outcome);
  }

  // ── reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #read(bucket: string, key: string): Promise<void> {
    const version = await this.lookUp(bucket, key);
    if (version?.object === undefined) return;
    await this.readVersion(bucket, version, "mid-run");
  }

  async #readOlder(bucket: string, key: string): Promise<void> {
    const versions = (await this.listVersions(bucket))?.filter((version) => version.key === key).slice(1) ?? [];
    const [version] = versions.filter(({ object }) => object !== undefined);
    if (version === undefined) return;
    this.note("read, an older version");
    await this.readVersion(bucket, version, "mid-run");
  }

  /** Reads all or a part of what a version says, and checks every byte. `final`: it has to be there. */
  async readVersion(bucket: string, version: VersionRecord, when: "mid-run" | "final"): Promise<void> {
    const what = `${bucket}/${version.key} ${version.version} (tag ${tagOf(version)})`;
    const content = this.contentOf(version);
    if (sizeOf(content) !== version.size) {
      return this.#history.violation(`durability: ${what} is ${version.size} bytes, written were ${sizeOf(content)}`);
    }
    let object: SavedObject | undefined;
    const outcome = await this.call(async ({ router, datastore }) => {
      const record = await datastore.getObject(version.object!);
      if (record?.status !== "saved") return;
      object = record;
      await this.#readObject(router, record, content, what, when);
    });
    const error = outcome.kind === "error" ? outcome.error : undefined;
    const isDamaged = (error as StoreError | undefined)?.code === "DAMAGED";
    if (when === "final" && outcome.kind !== "value" && !isDamaged) {
      const why = outcome.kind === "died" ? "its router died" : describeError(error);
      return this.#history.violation(`durability: ${what} cannot be read when all is well: ${why}`);
    }
    if (isDamaged || (outcome.kind === "value" && object === undefined)) {
      const reason = isDamaged ? describeError(error) : "there is no such object";
      await this.#checkLoss(bucket, version, object, `${what}: ${reason}`);
    }
  }

  async #readObject(
    router: RunningRouterRole["router"],
    object: SavedObject,
    content: Content,
    what: string,
    when: "mid-run" | "final",
  ): Promise<void> {
    const random = this.#random;
    if (object.size < 40_000 && random.chance(0.5)) {
      return this.#compare(await router.get(object), content, 0, what);
    }
    const isWhole = when === "final" || random.chance(0.5);
    const offset = isWhole ? 0 : random.below(object.size + 1);
    const length = isWhole ? object.size : random.below(object.size - offset + 1);
    this.note(object.size === 0 ? "read, empty" : isWhole ? "read, whole" : "read, a range");
    const wanted = bytesOf(content);
    let at = offset;
    for await (const { buffer, count, skip, take } of router.read(object, offset, length)) {
      try {
        const bytes = buffer.data.subarray(skip, skip + take);
        if (Buffer.compare(bytes, wanted.subarray(at, at + take)) !== 0) {
          this.#history.violation(`bytes: ${what} has other bytes after ${at}`);
        }
        at += take;
        const isEnd = object.content.kind === "runs" && at === object.size;
        if (isEnd && buffer.data.subarray(skip + take, count * ticketDataSize).some((byte) => byte !== 0)) {
          this.#history.violation(`padding: ${what} has other bytes than zeros after its end`);
        }
        const isSlow = isWhole ? random.chance(0.2) : random.chance(0.02);
        if (isSlow && when === "mid-run") await delay(this.#world.client.clock, random.fraction() * 4_000);
      } finally {
        buffer.release();
      }
      if (when === "mid-run" && at < offset + length && random.chance(0.1)) {
        this.note("read: left before its end");
        return;
      }
    }
    if (at !== offset + length) this.#history.violation(`bytes: ${what} ended at ${at}, not ${offset + length}`);
  }

  #compare(bytes: Uint8Array, content: Content, offset: number, what: string): void {
    const difference = differenceAt(bytes, content, offset);
    const isShort = bytes.length !== sizeOf(content) - offset;
    if (difference !== undefined || isShort) this.#history.violation(`bytes: ${what} differs at ${difference}`);
  }

  /** A version that is still there must be whole, unless the disk damaged just its tickets. */
  async #checkLoss(bucket: string, version: VersionRecord, object: SavedObject | undefined, what: string) {
    const still = await this.call(({ datastore }) => datastore.getVersion(bucket, version.key, version.version));
    if (still.kind !== "value") return;
    // A router alone lets a read come to its end that began before its object was deleted.
    const mayBeGone = object === undefined || this.#world.routers.length > 1;
    if (still.value?.object !== version.object && mayBeGone) return;
    if (object === undefined) return this.#history.violation(`durability: ${what}, but its version is there`);
    if (!this.#world.damages.concern(object)) return this.#history.violation(`durability: ${what}`);
    this.#world.coverage.note("check", "damage found and explained");
  }

  async lookUp(bucket: string, key: string): Promise<VersionRecord | undefined> {
    const operation = this.#history.begin(bucket, key, this.name, { kind: "newest" });
    const outcome = await this.call(({ datastore }) => datastore.getVersion(bucket, key));
    if (outcome.kind !== "value") {
      this.end(operation, outcome);
      return undefined;
    }
    const version = outcome.value;
    if (version !== undefined) this.noteVersion(version);
    this.#history.end(operation, { kind: "tags", tags: version === undefined ? [] : [tagOf(version)] });
    return version;
  }

  /** All versions of a bucket, in one page. */
  listVersions(bucket: string): Promise<readonly VersionRecord[] | undefined> {
    return this.#listings.versions(bucket);
  }

  // ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #choose(): { random: SimulatedRandom; bucket: string; key: string } {
    const random = this.#random;
    return { random, bucket: random.pick(buckets).name, key: random.pick(this.#world.hotKeys) };
  }

  /** A condition that may hold: made from what is there now, which others may change meanwhile. */
  async someCondition(
    bucket: string,
    key: string,
  ): Promise<{ wanted: Wanted | undefined; condition: Condition | undefined }> {
    const random = this.#random;
    if (random.chance(0.55)) return { wanted: undefined, condition: undefined };
    if (random.chance(0.4)) return { wanted: { kind: "absent" }, condition: { kind: "absent" } };
    if (random.chance(0.2)) return { wanted: { kind: "present" }, condition: { kind: "present" } };
    const seen = await this.lookUp(bucket, key);
    if (seen?.object === undefined) return { wanted: { kind: "absent" }, condition: { kind: "absent" } };
    if (random.chance(0.5)) {
      return { wanted: { kind: "object", object: seen.object }, condition: { kind: "object", object: seen.object } };
    }
    const tag = tagOf(seen);
    return { wanted: { kind: "tag", tag }, condition: { kind: "attribute", name: "tag", value: tag } };
  }

  async write(
    bucket: string,
    key: string,
    input: Input,
    work: (running: RunningRouterRole) => Promise<unknown>,
  ): Promise<Answer> {
    const operation = this.#history.begin(bucket, key, this.name, input);
    this.end(operation, await this.call(work));
    return operation.answer;
  }

  async call<Value>(work: (running: RunningRouterRole) => Promise<Value>): Promise<CallOutcome<Value>> {
    const process: SupervisedProcess<RunningRouterRole> = this.#world.pickRouter(this.#random);
    const outcome = await process.call(work);
    if (outcome.kind === "died" || (outcome.kind === "error" && answerOf(outcome.error).kind === "unknown")) {
      this.#failed = true;
    }
    // What a process answers reaches its client a little later: it can die between.
    if (this.#random.chance(0.3)) await delay(this.#world.client.clock, this.#random.fraction());
    if (outcome.kind === "error" && isBug(outcome.error)) {
      this.#history.violation(`errors: ${this.doing} was answered ${describeError(outcome.error)}`);
    }
    return outcome;
  }

  end(operation: Operation, outcome: CallOutcome<unknown>): void {
    const answer: Answer =
      outcome.kind === "value"
        ? { kind: "done" }
        : outcome.kind === "error"
          ? answerOf(outcome.error)
          : { kind: "unknown" };
    const { id, client, input } = operation;
    this.#noteAnswer(input, answer);
    this.#world.trace.add(client, `${id} ${input.kind} ${answer.kind}`);
    this.#history.end(operation, answer);
  }

  #noteAnswer(input: Input, answer: Answer): void {
    if (input.kind !== "put" && input.kind !== "delete") return;
    if (answer.kind === "unknown") return this.note(`${input.kind}: outcome unknown`);
    if (answer.kind === "refused") return this.note(`${input.kind}: refused, and not for its condition`);
    const refused = answer.kind === "done" ? "" : ": refused";
    if (input.wanted === undefined && refused === "") return this.note(input.kind);
    if (input.wanted === undefined) return;
    this.note(input.kind === "delete" ? `delete, conditional${refused}` : `put, ${input.wanted.kind}${refused}`);
  }

  /** For the statistics of a run. */
  note(what: string): void {
    this.#world.coverage.note("operation", what);
  }

  noteVersion(version: VersionRecord): void {
    const tag = tagOf(version);
    if (this.#history.contents.get(tag) === undefined) {
      this.#history.violation(`bytes: ${version.key} has a version that nobody wrote: tag ${tag}`);
    }
    if (version.object !== undefined) this.#history.objectOfTag.set(tag, version.object);
  }

  contentOf(version: VersionRecord): Content {
    return this.#history.contents.get(tagOf(version)) ?? [];
  }

  now(): number {
    return this.#world.client.clock.now();
  }
}
