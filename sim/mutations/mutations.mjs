/**
 * Bugs that the simulator has to find: texts of the product's sources and what is put in their place. Each text occurs
 * once in its file; scripts/mutate.mjs says so where one does not any more.
 */
const volume = "src/volume/volume.ts";
const smallWrite = "src/router/small-write.ts";
const router = "src/router/router.ts";
const writer = "src/router/object-writer.ts";
const reader = "src/router/object-reader.ts";
const leases = "src/datastore/leases.ts";
const versions = "src/datastore/versions.ts";
const uploads = "src/datastore/uploads.ts";
const ticketClient = "src/wire/ticket-client.ts";

export const mutations = [
  {
    name: "a ticket is answered saved before the sync",
    file: volume,
    from: "      await this.#sync.request(patienceMs);",
    to: "      void this.#sync.request(patienceMs).catch(() => undefined);",
  },
  {
    name: "`obj` is synced twice, `sum` never",
    file: volume,
    from: "await all([this.files.obj.sync(), this.files.sum.sync()]);",
    to: "await all([this.files.obj.sync(), this.files.obj.sync()]);",
  },
  {
    name: "a volume's directory is not synced",
    file: volume,
    from: "if (!this.#entriesSynced) await this.#options.syncEntries();",
    to: "",
  },
  {
    name: "directories above a volume's own are not synced",
    file: "src/volume/volume-directories.ts",
    from: "[...parents, this.of(number)]",
    to: "[this.of(number)]",
  },
  {
    name: "a failed sync is answered as saved",
    file: volume,
    from: "      failure = failureOf(error, this.#options.name);",
    to: "      failure = undefined && failureOf(error, this.#options.name);",
  },
  {
    name: "a putter answers when it has written, not when it has synced",
    file: "src/putter/ticket-connection.ts",
    from: "pending.saved.then((outcome) => this.#responsesTo(first, count, outcome))",
    to: "pending.released.then(() => this.#responsesTo(first, count, { status: 0, each: undefined, reason: undefined }))",
  },
  {
    name: "a putter's refusal is taken for saved",
    file: "src/wire/ticket-client.ts",
    from: "batch.each[offset] = status;",
    to: "batch.each[offset] = 0;",
  },
  {
    name: "tickets whose connection broke before they were answered count as saved",
    file: "src/wire/ticket-client.ts",
    from: "const lost = allFailed(TicketStatus.notWritten, reason);",
    to: "const lost = allSaved();",
  },
  {
    name: "tickets that were refused do not fail a small write",
    file: router,
    from: "for (const outcome of written.outcomes) throwIfUnsaved(outcome, allocator, leases, host.log);",
    to: "",
  },
  {
    name: "a long write is acknowledged before its commit",
    file: writer,
    from: "const version = await datastore.saveObject(object, target, host.clock.now());",
    to: "const version = undefined;\n      void datastore.saveObject(object, target, host.clock.now()).catch(() => undefined);",
  },
  {
    name: "a small write commits before its tickets are on disk",
    file: smallWrite,
    from: "outcomes: saved.length === 1 ? [await saved[0]!] : await Promise.all(saved)",
    to: "outcomes: []",
  },
  {
    name: "the last ticket's padding is not zeroed",
    file: smallWrite,
    from: "buffer.data.fill(0, bytes.length, count * ticketDataSize);",
    to: "",
  },
  {
    name: "a lease of object ids is not persisted",
    file: leases,
    from: "  putAllocation(tx, { ...allocation, object: end });\n",
    to: "",
  },
  {
    name: "a lease of tickets is given back as if none had been used",
    file: leases,
    from: "const leasedCount = nothingAfter ? next - volumeStart(layout, number)",
    to: "const leasedCount = nothingAfter ? lease.first - volumeStart(layout, number)",
  },
  {
    name: "the leases of an earlier process are not ended",
    file: "src/datastore/transactional.ts",
    from: "leases.endLeases(tx, router);",
    to: "",
  },
  {
    name: "checksums are not verified where a read goes to the disk",
    file: reader,
    from: "      if (good < plan.count) {\n        const damage",
    to: "      if (good < 0) {\n        const damage",
  },
  {
    name: "checksums are not verified where a read is answered at once",
    file: reader,
    from: "if (this.#verified(plan, buffer, 0) < plan.count) return undefined;",
    to: "",
  },
  {
    name: "what was read ahead for a reader who left is not given back",
    file: reader,
    from: "for (const piece of ahead) piece.then(({ buffer }) => buffer.release()).catch(() => undefined);",
    to: "",
  },
  {
    name: "reclaiming frees runs of one ticket that are live",
    file: "src/router/reclaimer.ts",
    from: "for (const run of page) appendRun(",
    to: "for (const run of page) if (run.count > 1) appendRun(",
  },
  {
    name: "reclaiming takes volumes that are still written to",
    file: "src/router/reclaimer.ts",
    from: "if (volume.leases > 0 || !volume.sealed) {",
    to: "if (!volume.sealed) {",
  },
  {
    name: "reclaiming does not wait for those who read",
    file: "src/router/reclaimer.ts",
    from: "    await this.readersEnd();\n",
    to: "",
    // Chance shows it rarely.
    seed: 262,
  },
  {
    name: "a volume that was written anew is not synced before the rename",
    file: "src/volume/reclaim.ts",
    from: "      await to.sync();\n    } finally {\n      await to.close();",
    to: "    } finally {\n      await to.close();",
  },
  {
    name: "deleting an object leaves its tickets live",
    file: "src/datastore/references.ts",
    from: "    unindexRuns(tx, runsOf(stored));\n",
    to: "    if (stored.size < 0) unindexRuns(tx, runsOf(stored));\n",
  },
  {
    name: "a copy does not count as a reference",
    file: versions,
    from: "  addReference(tx, object, source);\n  const { attributes } = target;",
    to: "  addReference(tx, object, source, 0);\n  const { attributes } = target;",
  },
  {
    name: "whether a file is absent is looked at before the transaction, not in it",
    file: "src/datastore/transactional.ts",
    from: "    return this.#backend.commit((tx) => objects.saveObject(tx, object, target, now));",
    to: `    return (async () => {
      if (target.kind !== "file" || target.condition?.kind !== "absent") {
        return this.#backend.commit((tx) => objects.saveObject(tx, object, target, now));
      }
      const { condition, ...free } = target;
      const found = await this.getVersion(target.bucket, target.key);
      if (found?.object !== undefined) return this.#backend.commit((tx) => objects.saveObject(tx, object, target, now));
      return this.#backend.commit((tx) => objects.saveObject(tx, object, free, now));
    })();`,
  },
  {
    name: "a write while versioning is suspended keeps the null version before",
    file: versions,
    from: 'const previousNull = versioning === "suspended" && current?.null !== true ? findNull(tx, file) : undefined;',
    to: "const previousNull = undefined;",
  },
  {
    name: "a page of a listing begins with the last item of the one before",
    file: "src/datastore/listing.ts",
    from: "(passedPrefix(place, after) ?? after + afterName)",
    to: "(passedPrefix(place, after) ?? after)",
  },
  {
    name: "a volume whose sync failed goes on taking writes",
    file: volume,
    from: "      if (!isShortage(error)) {",
    to: "      if (isShortage(error) && !isShortage(error)) {",
  },
  {
    name: "who asks for a sync shares the one that is under way",
    file: "src/volume/group-sync.ts",
    from: "    this.#next ??= this.#newGroup();\n",
    to: "    if (this.#running !== undefined) return this.#running;\n    this.#next ??= this.#newGroup();\n",
  },
  {
    name: "a group is answered when its data is written, whatever becomes of its checksums",
    file: volume,
    from: "        direct.write([batch.data], slot * ticketDataSize),\n        this.files.sum.write([batch.sums], slot * checksumSize),\n",
    to: "        direct.write([batch.data], slot * ticketDataSize),\n",
  },
  {
    name: "a write of several files that fails in one does not wait for the others",
    file: volume,
    from: "  const values: Value[] = [];\n",
    to: "  if (work.length > 0) return Promise.all(work);\n  const values: Value[] = [];\n",
    // Chance shows it rarely.
    seed: 2_000,
  },
  {
    name: "responses are matched to the wrong tickets: in order of sending, whatever they say",
    file: ticketClient,
    from: "const offset = ticket - batch.first;",
    to: "const offset = batch.answered;",
    // Chance shows it rarely.
    seed: 170,
  },
  {
    name: "a putter that falls silent is waited for without end",
    file: ticketClient,
    from: "if (this.#outstanding.length > 0 && silentMs > limits.responseTimeoutMs) {",
    to: "if (silentMs < 0) {",
  },
  {
    name: "a lease ends while objects are still written with its tickets",
    file: "src/router/ticket-allocator.ts",
    from: "const inUse = lease === this.#current || lease === this.#ahead || lease.users > 0 || !this.#leases.has(lease);",
    to: "const inUse = lease === this.#current || lease === this.#ahead || !this.#leases.has(lease);",
  },
  {
    name: "reclaiming cuts a volume off one slot too early",
    file: "src/volume/reclaim.ts",
    from: "const liveEnd = Math.max(...live.map((range) => range.slot + range.count));",
    to: "const liveEnd = Math.max(...live.map((range) => range.slot + range.count - 1));",
  },
  {
    name: "a deletion does not look at its condition",
    file: versions,
    from: "  const plan = planVersion(tx, fileName(bucket, key), condition);",
    to: "  const plan = planVersion(tx, fileName(bucket, key), condition && undefined);",
  },
  {
    name: "the version before does not become the newest when that is deleted",
    file: versions,
    from: "      tx.put(Table.file + file, next.value);\n",
    to: "",
  },
  {
    name: "what an overwritten version referred to is never let go of",
    file: versions,
    from: "  if (replaced?.object !== undefined) release(tx, replaced.object);\n",
    to: "",
  },
  {
    name: "completing an upload does not look at its condition",
    file: uploads,
    from: "planVersion(tx, fileName(target.bucket, target.key), target.condition);",
    to: "planVersion(tx, fileName(target.bucket, target.key));",
  },
  {
    name: "parts that are not named when an upload is completed are kept for ever",
    file: uploads,
    from: "  for (const part of unused) release(tx, part.object);\n",
    to: "",
  },
  {
    name: "a part that is sent again lets go of the new one instead of the old one",
    file: uploads,
    from: "if (replaced !== undefined) release(tx, replaced.object);",
    to: "if (replaced !== undefined) release(tx, stored.object);",
  },
  {
    name: "parts of a copied object of parts are not referred to",
    file: uploads,
    from: "      addReference(tx, leaf, stored);\n",
    to: "",
  },
  {
    name: "a page that ends one entry before the end says that nothing follows",
    file: "src/datastore/listing.ts",
    from: "return { items, prefixes, more: entries.length > limit };",
    to: "return { items, prefixes, more: entries.length > limit + 1 };",
  },
  {
    name: "files that were opened of a volume stay open where the next one cannot be",
    file: "src/volume/volume-files.ts",
    from: "    await Promise.allSettled(opened.map((file) => file.close()));\n    throw error;",
    to: "    throw error;",
  },
  {
    name: "a byte stream that is cut is kept as if it had ended",
    file: "src/router/stream-port.ts",
    from: 'void this.#writer?.abort(new StoreError("ABORTED", "the client went away before the end of its object"));',
    to: "void this.#finish();",
  },
  {
    name: "a group that the datastore refused is tried again after it was answered",
    file: "src/datastore/group-commit.ts",
    from: "          for (const waiting of group) waiting.reject(error);\n          return;",
    to: "          for (const waiting of group) waiting.reject(error);\n          this.#waiting = [...group, ...this.#waiting];\n          return;",
  },
];
