/**
 * A data directory whose datastore knows many files of one ticket each. The tickets themselves are not written: a
 * million of them would take 1.5 GB, and neither starting nor listing looks at them.
 */
export const bucket = "bench";

export function filledStore(context, count) {
  return context.shared(`filled-${count}`, async () => {
    const root = context.directory(`filled-${count}`, count * 3_000);
    context.tell(`filling a datastore with ${count.toLocaleString("en-US")} files`);
    await context.with(["datastore"], async (datastore) => {
      await datastore.call("open", { choice: { kind: "embedded" }, root });
      await datastore.call("fill", { bucket, count });
    });
    return { root, count };
  });
}
