/** Many clients at once, each asking one thing after the other, until the store is gone or the time is up. */
import { deleteDocument, elementsOf, NoAnswer, sendStream, textOf } from "./client.mjs";
import { partSizeMin } from "./contents.mjs";
import { absent } from "./history.mjs";
import { pause } from "./workplace.mjs";

export const plainBucket = "/plain";
export const versionedBucket = "/versioned";
const clientCount = 16;
const uploadsMax = 4;
const streamsMax = 24;
const versionsMax = 8;

/** An answer that the store must not give, whatever happens to it. */
export class WrongAnswer extends Error {}

export class Load {
  #model;
  #contents;
  #client;
  #objects;
  #ports;
  #stopped = false;
  #counts = new Map();

  constructor({ model, contents, client, objects, ports }) {
    this.#model = model;
    this.#contents = contents;
    this.#client = client;
    this.#objects = objects;
    this.#ports = ports;
  }

  /** How often each operation was answered. */
  get counts() {
    return this.#counts;
  }

  /** No new request begins. */
  stop() {
    this.#stopped = true;
  }

  /** Resolves when all clients have ended. */
  async run(random) {
    const clients = Array.from({ length: clientCount }, () => this.#runClient(random.branch()));
    const outcomes = await Promise.allSettled(clients);
    const failure = outcomes.find(({ status }) => status === "rejected");
    if (failure !== undefined) throw failure.reason;
  }

  async #runClient(random) {
    const actions = [
      [24, "put"],
      [8, "read"],
      [8, "delete"],
      [2, "deleteMany"],
      [9, "create"],
      [9, "replace"],
      [7, "copy"],
      [10, "upload"],
      [14, "putVersion"],
      [5, "deleteVersioned"],
      [6, "removeVersion"],
      [8, "stream"],
      [3, "removeStream"],
    ];
    while (!this.#stopped) {
      const action = random.weighted(actions);
      try {
        await this.#do(action, random);
        this.#counts.set(action, (this.#counts.get(action) ?? 0) + 1);
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        this.#model.unknownCount++;
        // The process is gone; where only one of several is, the next request may find another.
        await pause(20);
      }
    }
  }

  #do(action, random) {
    switch (action) {
      case "put":
        return this.#write(random, this.#plainKey(random), "write");
      case "read":
        return this.#read(this.#plainKey(random));
      case "delete":
        return this.#delete(this.#plainKey(random));
      case "deleteMany":
        return this.#deleteMany(random);
      case "create":
        return this.#write(random, this.#hotKey(random), "create");
      case "replace":
        return this.#write(random, this.#hotKey(random), "replace");
      case "copy":
        return this.#copy(random);
      case "upload":
        return this.#upload(random);
      case "putVersion":
        return this.#putVersion(random);
      case "deleteVersioned":
        return this.#deleteVersioned(random);
      case "removeVersion":
        return this.#removeVersion(random);
      case "stream":
        return this.#stream(random);
      default:
        return this.#removeStream(random);
    }
  }

  #plainKey(random) {
    return random.pick([...this.#model.plain.keys()]);
  }

  /** Few, so that conditions meet. */
  #hotKey(random) {
    return random.pick([...this.#model.plain.keys()].slice(0, 4));
  }

  /** PUT, as it is or with a condition. Answers of 5xx leave open what happened. */
  async #write(random, key, kind) {
    const { bytes, name, size } = this.#contents.make(random, this.#contents.sizeBy(random));
    const etag = this.#model.plain.get(key).hint;
    if (kind === "replace" && etag === undefined) return;
    const condition = kind === "create" ? { "if-none-match": "*" } : kind === "replace" ? { "if-match": etag } : {};
    const operation = this.#model.begin(key, kind, name, kind === "replace" ? unquoted(etag) : undefined);
    const answer = await this.#client.send("PUT", `${plainBucket}/${key}`, { headers: condition, body: bytes });
    const told = answer.header("etag");
    if (answer.status === 200) {
      if (unquoted(told) !== name)
        throw new WrongAnswer(`PUT ${key}: the ETag is ${told} and not that of the ${size} bytes`);
      this.#model.end(key, operation, "ok", told);
    } else if (answer.status === 412 || (answer.status === 404 && kind === "replace")) {
      this.#model.end(key, operation, "refused");
      if (kind === "create") await this.#read(key);
    } else {
      this.#doubt(answer, `PUT ${key}`, [409]);
    }
  }

  async #read(key) {
    const operation = this.#model.begin(key, "read");
    let answer;
    try {
      answer = await this.#client.send("GET", `${plainBucket}/${key}`);
    } finally {
      if (answer === undefined) this.#model.withdraw(key, operation);
    }
    if (answer.status === 200) {
      const problem = this.#contents.problemOf(answer.body);
      if (problem !== undefined) throw new WrongAnswer(`GET ${key}: ${problem}`);
      operation.value = this.#contents.note(answer.body).name;
      const etag = answer.header("etag");
      this.#model.end(key, operation, "ok", etag.includes("-") ? undefined : etag);
    } else if (answer.status === 404) {
      operation.value = absent;
      this.#model.end(key, operation, "ok");
    } else {
      this.#model.withdraw(key, operation);
      this.#doubt(answer, `GET ${key}`);
    }
  }

  async #delete(key) {
    const operation = this.#model.begin(key, "delete");
    const answer = await this.#client.send("DELETE", `${plainBucket}/${key}`);
    if (answer.status === 204) this.#model.end(key, operation, "ok");
    else this.#doubt(answer, `DELETE ${key}`);
  }

  async #deleteMany(random) {
    const keys = [...new Set([this.#plainKey(random), this.#plainKey(random), this.#plainKey(random)])];
    const operations = new Map(keys.map((key) => [key, this.#model.begin(key, "delete")]));
    const answer = await this.#client.send("POST", plainBucket, { query: [["delete", ""]], ...deleteDocument(keys) });
    if (answer.status !== 200) {
      this.#doubt(answer, "DeleteObjects");
      return;
    }
    const deleted = elementsOf(answer.body, "Deleted").map((text) => textOf(text, "Key"));
    for (const key of deleted) this.#model.end(key, operations.get(key), "ok");
  }

  /** Only if the source still is what it was: so it is known what the copy is. */
  async #copy(random) {
    const [from, to] = [this.#plainKey(random), this.#plainKey(random)];
    const etag = this.#model.plain.get(from).hint;
    if (etag === undefined || from === to) return;
    const operation = this.#model.begin(to, "write", unquoted(etag));
    const seen = this.#model.begin(from, "read", unquoted(etag));
    let copied = false;
    try {
      copied = await this.#copyIf(from, to, etag, operation);
    } finally {
      if (!copied) this.#model.withdraw(from, seen);
    }
    if (copied) this.#model.end(from, seen, "ok");
  }

  async #copyIf(from, to, etag, operation) {
    const headers = { "x-amz-copy-source": `${plainBucket}/${from}`, "x-amz-copy-source-if-match": etag };
    const answer = await this.#client.send("PUT", `${plainBucket}/${to}`, { headers });
    if (answer.status === 200 && !answer.body.includes("<Error>")) this.#model.end(to, operation, "ok", etag);
    else if (answer.status === 412 || answer.status === 404) this.#model.withdraw(to, operation);
    else this.#doubt(answer, `copy to ${to}`);
    return operation.outcome === "ok";
  }

  /** One step of some multipart upload: beginning it, a part, or its end. They go on over crashes. */
  async #upload(random) {
    const upload = this.#model.uploads.find(({ isBusy, completing }) => !isBusy && completing === undefined);
    if (upload === undefined || (this.#model.uploads.length < uploadsMax && random.chance(0.4))) {
      if (this.#model.uploads.length < uploadsMax) await this.#createUpload(random);
      return;
    }
    upload.isBusy = true;
    try {
      const missing = upload.plan.findIndex(
        (_, index) => (upload.parts.get(index + 1)?.acknowledged ?? false) === false,
      );
      if (missing >= 0) await this.#uploadPart(random, upload, missing + 1);
      else await this.#completeUpload(upload);
    } finally {
      upload.isBusy = false;
    }
  }

  async #createUpload(random) {
    const key = this.#plainKey(random);
    const answer = await this.#client.send("POST", `${plainBucket}/${key}`, { query: [["uploads", ""]] });
    if (answer.status !== 200) {
      this.#doubt(answer, "CreateMultipartUpload");
      return;
    }
    const last = random.between(16, 400_000);
    const plan = random.chance(0.15) ? [partSizeMin + random.pick([0, 1, 1000]), last] : [last];
    this.#model.uploads.push({ key, id: textOf(answer.body, "UploadId"), plan, parts: new Map(), isBusy: false });
  }

  async #uploadPart(random, upload, number) {
    const { bytes, name } = this.#contents.make(random, upload.plan[number - 1]);
    const part = upload.parts.get(number) ?? { acknowledged: false, possible: [] };
    upload.parts.set(number, part);
    part.possible.push({ name, bytes });
    const query = [
      ["partNumber", String(number)],
      ["uploadId", upload.id],
    ];
    const answer = await this.#client.send("PUT", `${plainBucket}/${upload.key}`, { query, body: bytes });
    if (answer.status === 200) Object.assign(part, { acknowledged: true, possible: [{ name, bytes }] });
    else this.#doubt(answer, "UploadPart");
  }

  async #completeUpload(upload) {
    const { key, id, parts } = upload;
    const numbers = [...parts.keys()].toSorted((one, other) => one - other);
    const chosen = numbers.map((number) => ({ number, ...parts.get(number).possible[0] }));
    const { name } = this.#contents.note(Buffer.concat(chosen.map(({ bytes }) => bytes)));
    const list = chosen.map(
      (part) => `<Part><PartNumber>${part.number}</PartNumber><ETag>"${part.name}"</ETag></Part>`,
    );
    const body = Buffer.from(`<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`);
    const operation = this.#model.begin(key, "write", name);
    upload.completing = operation;
    const answer = await this.#client.send("POST", `${plainBucket}/${key}`, { query: [["uploadId", id]], body });
    if (answer.status !== 200 || !answer.body.includes("<CompleteMultipartUploadResult")) {
      if (answer.status < 500 && answer.status !== 200) {
        throw new WrongAnswer(`CompleteMultipartUpload ${key}: ${answer.status} ${answer.body}`);
      }
      this.#doubt(answer, "CompleteMultipartUpload", [200]);
      return;
    }
    this.#model.end(key, operation, "ok");
    this.#model.uploads.splice(this.#model.uploads.indexOf(upload), 1);
  }

  async #putVersion(random) {
    const key = random.pick([...this.#model.versioned.keys()]);
    const entry = this.#model.versioned.get(key);
    if (entry.versions.size >= versionsMax) return;
    const { bytes, name } = this.#contents.make(random, this.#contents.sizeBy(random));
    const attempt = { name, start: performance.now() };
    entry.unknown.push(attempt);
    const answer = await this.#client.send("PUT", `${versionedBucket}/${key}`, { body: bytes });
    if (answer.status === 200) this.#noteVersion(entry, attempt, answer.header("x-amz-version-id"));
    else this.#doubt(answer, `PUT ${key}`);
  }

  async #deleteVersioned(random) {
    const key = random.pick([...this.#model.versioned.keys()]);
    const entry = this.#model.versioned.get(key);
    if (entry.versions.size >= versionsMax) return;
    const attempt = { name: absent, start: performance.now() };
    entry.unknown.push(attempt);
    const answer = await this.#client.send("DELETE", `${versionedBucket}/${key}`);
    if (answer.status === 204) this.#noteVersion(entry, attempt, answer.header("x-amz-version-id"));
    else this.#doubt(answer, `DELETE ${key}`);
  }

  #noteVersion(entry, attempt, id) {
    if (entry.versions.has(id) || entry.removed.has(id)) throw new WrongAnswer(`version ${id} was given twice`);
    entry.unknown.splice(entry.unknown.indexOf(attempt), 1);
    if (this.#model.isForgotten()) return;
    entry.versions.set(id, { ...attempt, end: performance.now() });
    this.#model.acknowledgedCount++;
  }

  async #removeVersion(random) {
    const key = random.pick([...this.#model.versioned.keys()]);
    const entry = this.#model.versioned.get(key);
    const ids = [...entry.versions.keys()].filter((id) => !entry.removing.has(id));
    if (ids.length < versionsMax / 2) return;
    const id = random.pick(ids);
    entry.removing.add(id);
    const answer = await this.#client.send("DELETE", `${versionedBucket}/${key}`, { query: [["versionId", id]] });
    if (answer.status !== 204) {
      this.#doubt(answer, `DELETE ${key} ${id}`);
      return;
    }
    entry.removing.delete(id);
    entry.versions.delete(id);
    entry.removed.add(id);
    this.#model.acknowledgedCount++;
  }

  async #stream(random) {
    const stored = [...this.#model.streams.values()].filter(({ state }) => state === "stored");
    if (stored.length >= streamsMax) return this.#removeStream(random);
    const { bytes, name } = this.#contents.make(random, this.#contents.sizeBy(random));
    const line = await sendStream(this.#ports.streamPort, bytes);
    const id = /^OBJECT (\w+) WRITTEN OK$/.exec(line)?.[1];
    if (id === undefined) {
      if (!line.startsWith("ERROR ")) throw new WrongAnswer(`a stream was answered ${line}`);
      return;
    }
    if (this.#model.streams.has(id)) throw new WrongAnswer(`object ${id} was given twice`);
    this.#model.streams.set(id, { name, state: "stored" });
    this.#model.acknowledgedCount++;
  }

  async #removeStream(random) {
    const ids = [...this.#model.streams].filter(([, { state }]) => state === "stored").map(([id]) => id);
    if (ids.length < streamsMax / 2) return;
    const stream = this.#model.streams.get(random.pick(ids));
    const id = ids.find((each) => this.#model.streams.get(each) === stream);
    stream.state = "removing";
    let removed;
    try {
      removed = await this.#objects.remove(id);
    } catch (error) {
      throw new NoAnswer(error.message, { cause: error });
    }
    if (!removed) throw new WrongAnswer(`object ${id} was there, and could not be removed`);
    stream.state = "removed";
    this.#model.acknowledgedCount++;
  }

  /** Errors of the server leave open what happened; anything else is wrong. */
  #doubt({ status, body }, what, allowed = []) {
    if (status < 500 && !allowed.includes(status)) throw new WrongAnswer(`${what}: ${status} ${body}`);
    this.#model.unknownCount++;
  }
}

function unquoted(etag) {
  return etag?.replaceAll('"', "");
}
