/** After the restart: everything that the model knows is asked for, and everything that is there has to be explained. */
import { elementsOf, textOf } from "./client.mjs";
import { absent, describeOperations, isExplained } from "./history.mjs";
import { plainBucket, versionedBucket } from "./load.mjs";
import { pause } from "./workplace.mjs";

/** A server that was restarted is found again by its router within so long. */
const recoveryMs = 30_000;
const retryMs = 50;
const concurrency = 8;

/** The store has broken a promise. */
export class Loss extends Error {}

export class Check {
  #model;
  #contents;
  #client;
  #objects;
  /** Whether 5xx right after the restart is allowed: where other processes have to be found again. */
  #isPatient;

  constructor({ model, contents, client, objects, isPatient }) {
    this.#model = model;
    this.#contents = contents;
    this.#client = client;
    this.#objects = objects;
    this.#isPatient = isPatient;
  }

  async run() {
    await inTurns(this.#model.uploads.slice(), (upload) => this.#checkUpload(upload));
    await this.#checkPlain();
    await this.#checkVersioned();
    await this.#checkStreams();
    const { objects, tickets, damages } = await this.#objects.verify();
    if (damages.length > 0) throw new Loss(`verify: ${JSON.stringify(damages.slice(0, 5))}`);
    return { objects, tickets };
  }

  /** Parts that were acknowledged are there; an end without an answer has happened wholly or not at all. */
  async #checkUpload(upload) {
    const { key, id, parts, completing } = upload;
    const answer = await this.#get(`${plainBucket}/${key}`, [["uploadId", id]]);
    if (answer.status === 404) {
      if (completing === undefined) throw new Loss(`the upload ${id} of ${key} is gone`);
      completing.outcome = "ok";
      completing.end = performance.now();
      this.#model.uploads.splice(this.#model.uploads.indexOf(upload), 1);
      return;
    }
    if (answer.status !== 200) throw new Loss(`ListParts of ${key}: ${answer.status} ${answer.body}`);
    if (completing !== undefined) this.#model.withdraw(key, completing);
    upload.completing = undefined;
    const listed = new Map();
    for (const text of elementsOf(answer.body, "Part")) {
      listed.set(Number(textOf(text, "PartNumber")), textOf(text, "ETag").replaceAll('"', ""));
    }
    for (const [number, part] of parts) {
      const found = part.possible.find(({ name }) => name === listed.get(number));
      if (found === undefined && (part.acknowledged || listed.has(number))) {
        throw new Loss(`part ${number} of ${key}: it is ${listed.get(number)} and should be ${part.possible[0].name}`);
      }
      if (found === undefined) parts.delete(number);
      else parts.set(number, { acknowledged: true, possible: [found] });
    }
    for (const number of listed.keys()) {
      if (!parts.has(number)) throw new Loss(`part ${number} of ${key} was never sent`);
    }
  }

  async #checkPlain() {
    const seen = new Map();
    await inTurns([...this.#model.plain], async ([key, entry]) => {
      const start = performance.now();
      const answer = await this.#get(`${plainBucket}/${key}`);
      const value = this.#valueOf(answer, key);
      const etag = answer.header("etag");
      if (value !== absent) seen.set(key, { etag, size: answer.body.length });
      entry.hint = value === absent || etag.includes("-") ? undefined : etag;
      const read = { kind: "read", value, start, end: performance.now(), outcome: "ok" };
      const operations = [...entry.operations, read];
      if (!isExplained(entry.state, operations)) {
        throw new Loss(`${key}: no order of what happened explains it\n${describeOperations(entry.state, operations)}`);
      }
      entry.state = value;
      entry.operations = [];
    });
    await this.#compareListing(plainBucket, seen);
  }

  async #compareListing(bucket, seen) {
    const listed = new Map();
    for (let token; ;) {
      const query = [
        ["list-type", "2"],
        ["max-keys", "5"],
        ...(token === undefined ? [] : [["continuation-token", token]]),
      ];
      const { status, body } = await this.#get(bucket, query);
      if (status !== 200) throw new Loss(`listing ${bucket}: ${status} ${body}`);
      for (const text of elementsOf(body, "Contents")) {
        listed.set(textOf(text, "Key"), { etag: textOf(text, "ETag"), size: Number(textOf(text, "Size")) });
      }
      token = textOf(body, "NextContinuationToken");
      if (token === undefined) break;
    }
    const plainText = (entries) => [...entries].map(([key, { etag, size }]) => `${key} ${etag} ${size}`).toSorted();
    const [inListing, byReading] = [plainText(listed), plainText(seen)];
    const differing = [
      ...inListing.filter((text) => !byReading.includes(text)).map((text) => `listed: ${text}`),
      ...byReading.filter((text) => !inListing.includes(text)).map((text) => `read: ${text}`),
    ];
    if (differing.length > 0)
      throw new Loss(`${bucket}: the listing does not agree with reads: ${differing.join("; ")}`);
  }

  async #checkVersioned() {
    const listed = await this.#listVersions();
    const latest = new Map();
    await inTurns([...this.#model.versioned], async ([key, entry]) => {
      const versions = listed.get(key) ?? [];
      await inTurns(versions, (version) => this.#readVersion(key, version));
      this.#compareVersions(key, entry, versions);
      const answer = await this.#get(`${versionedBucket}/${key}`);
      const value = this.#valueOf(answer, key);
      if (value !== (versions[0]?.name ?? absent)) throw new Loss(`${key}: it is ${value} and not its newest version`);
      if (value !== absent) latest.set(key, { etag: answer.header("etag"), size: answer.body.length });
    });
    await this.#compareListing(versionedBucket, latest);
  }

  async #listVersions() {
    const listed = new Map();
    for (let markers = []; ;) {
      const { status, body } = await this.#get(versionedBucket, [["versions", ""], ["max-keys", "7"], ...markers]);
      if (status !== 200) throw new Loss(`listing versions: ${status} ${body}`);
      for (const [, kind, text] of body.toString().matchAll(/<(Version|DeleteMarker)>([\s\S]*?)<\/\1>/g)) {
        const key = textOf(text, "Key");
        const version = {
          id: textOf(text, "VersionId"),
          isMarker: kind === "DeleteMarker",
          isLatest: textOf(text, "IsLatest") === "true",
          size: Number(textOf(text, "Size")),
        };
        listed.set(key, [...(listed.get(key) ?? []), version]);
      }
      if (textOf(body, "IsTruncated") !== "true") break;
      const [key, version] = [textOf(body, "NextKeyMarker"), textOf(body, "NextVersionIdMarker")];
      markers = [["key-marker", key], ...(version === undefined ? [] : [["version-id-marker", version]])];
    }
    return listed;
  }

  async #readVersion(key, version) {
    version.name = absent;
    if (version.isMarker) return;
    const answer = await this.#get(`${versionedBucket}/${key}`, [["versionId", version.id]]);
    if (answer.status !== 200)
      throw new Loss(`${key}, version ${version.id}: it is listed, and reading it: ${answer.status}`);
    version.name = this.#valueOf(answer, key);
    if (answer.body.length !== version.size) throw new Loss(`${key}, version ${version.id}: listed with another size`);
  }

  #compareVersions(key, entry, listed) {
    const fail = (why) => {
      throw new Loss(`${key}: ${why}`);
    };
    const ids = new Set(listed.map(({ id }) => id));
    for (const id of entry.versions.keys()) {
      if (!ids.has(id) && !entry.removing.has(id)) fail(`version ${id} was acknowledged, and is gone`);
    }
    for (const id of entry.removed) if (ids.has(id)) fail(`version ${id} was removed, and is back`);
    const now = performance.now();
    const next = new Map();
    for (const [index, { id, name, isLatest }] of listed.entries()) {
      if (isLatest !== (index === 0)) fail(`IsLatest of version ${id} is ${isLatest}`);
      let known = entry.versions.get(id);
      if (known === undefined) {
        const at = entry.unknown.findIndex((attempt) => attempt.name === name);
        if (at < 0) fail(`version ${id} (${name}) was never asked for`);
        known = { ...entry.unknown.splice(at, 1)[0], end: now };
      }
      if (known.name !== name) fail(`version ${id} is ${name} and should be ${known.name}`);
      // Newest first: what ended before something else began is older.
      for (const [other, { end }] of next) {
        if (end < known.start) fail(`version ${other} is listed as newer than ${id}, which began when that had ended`);
      }
      next.set(id, known);
    }
    entry.versions = next;
    entry.unknown = [];
    entry.removing.clear();
    // A removal without an answer may have happened; it cannot be undone later.
    for (const id of [...entry.removed].slice(0, -200)) entry.removed.delete(id);
  }

  async #checkStreams() {
    for (const [id, stream] of this.#model.streams) {
      if (stream.state === "forgotten") continue;
      const bytes = await this.#readObject(id);
      if (bytes === undefined) {
        if (stream.state === "stored") throw new Loss(`object ${id} was acknowledged, and is gone`);
        // Its id stays known: it is never given again.
        stream.state = "forgotten";
        continue;
      }
      if (stream.state === "removed") throw new Loss(`object ${id} was removed, and is back`);
      const problem = this.#contents.problemOf(bytes);
      if (problem !== undefined || this.#contents.note(bytes).name !== stream.name) {
        throw new Loss(`object ${id}: ${problem ?? "the bytes of another one"}`);
      }
      stream.state = "stored";
    }
  }

  async #readObject(id) {
    for (const until = performance.now() + recoveryMs; ;) {
      try {
        return await this.#objects.read(id);
      } catch (error) {
        if (!this.#isPatient || performance.now() > until)
          throw new Loss(`object ${id}: ${error.message}`, { cause: error });
        await pause(retryMs);
      }
    }
  }

  #valueOf({ status, body, header }, key) {
    if (status === 404) return absent;
    if (status !== 200) throw new Loss(`GET ${key}: ${status} ${body}`);
    const problem = this.#contents.problemOf(body);
    if (problem !== undefined) throw new Loss(`GET ${key}: ${problem}`);
    const { name } = this.#contents.note(body);
    const etag = header("etag").replaceAll('"', "");
    if (!etag.includes("-") && etag !== name) throw new Loss(`GET ${key}: its ETag is ${etag}, its bytes are ${name}`);
    return name;
  }

  async #get(pathname, query) {
    for (const until = performance.now() + recoveryMs; ;) {
      const answer = await this.#client.send("GET", pathname, { query });
      if (answer.status < 500 || !this.#isPatient || performance.now() > until) return answer;
      await pause(retryMs);
    }
  }
}

async function inTurns(values, work) {
  const queue = values[Symbol.iterator]();
  const worker = async () => {
    for (const value of queue) await work(value);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
