/** The contract's fixture for datastores that lie in a directory: one that is made, opened again, and removed. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datastore } from "../../src/datastore/datastore.ts";
import type { Fixture } from "../../src/datastore/fixture.contract.ts";

export async function inDirectory(open: (directory: string) => Promise<Datastore>): Promise<Fixture> {
  const directory = await mkdtemp(join(tmpdir(), "datastore-"));
  let datastore = await open(directory);
  return {
    datastore,
    async reopen() {
      await datastore.close();
      datastore = await open(directory);
      return datastore;
    },
    async close() {
      await datastore.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
