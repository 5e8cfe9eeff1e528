/** The records of an LMDB file as they are stored, past all that checks them: to make what older programs made, and damage. */
import { createRequire } from "node:module";

interface RawDatabase {
  getRange(options: object): Iterable<{ key: string; value: Buffer }>;
  put(key: string, value: Buffer): unknown;
  remove(key: string): unknown;
  transactionSync(body: () => void): void;
  close(): Promise<void>;
}
const lmdb = createRequire(import.meta.url)("lmdb") as { open(options: object): RawDatabase };

export type RawRecords = Map<string, Buffer>;

/** Nobody else may have it open. Keys in which each character is a byte. */
export async function readRaw(directory: string): Promise<RawRecords> {
  const database = openRaw(directory);
  const found = new Map<string, Buffer>();
  for (const { key, value } of database.getRange({ start: "\u0001", end: "\u00ff\u00ff" })) {
    found.set(key, Buffer.from(value));
  }
  await database.close();
  return found;
}

/** undefined removes a record. */
export async function writeRaw(
  directory: string,
  records: Iterable<readonly [string, Buffer | undefined]>,
): Promise<void> {
  const database = openRaw(directory);
  database.transactionSync(() => {
    for (const [key, value] of records) {
      if (value === undefined) database.remove(key);
      else database.put(key, value);
    }
  });
  await database.close();
}

const trailerSize = 5;

/** As a program of format 1 would have made it: no checksums. */
export async function makeFormat1(directory: string): Promise<void> {
  const records = await readRaw(directory);
  const older = [...records].map(([key, value]): [string, Buffer | undefined] => {
    if (key === "mformat") return [key, Buffer.from("1")];
    return [key, key === "mchecksums" ? undefined : value.subarray(0, value.length - trailerSize)];
  });
  await writeRaw(directory, older);
}

function openRaw(directory: string): RawDatabase {
  return lmdb.open({
    path: directory,
    noSubdir: false,
    encoding: "binary",
    maxDbs: 1,
    overlappingSync: false,
    keyEncoder: {
      writeKey: (key: string, target: Buffer, start: number) => start + target.write(key, start, "latin1"),
      readKey: (target: Buffer, start: number, end: number) => target.toString("latin1", start, end),
    },
  });
}
