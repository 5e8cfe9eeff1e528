/** Hundreds of damages of volumes' files, one at a time, as S3 clients meet them: right bytes, or an error, or an end. */
import { open } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Belongings, patternOf } from "../support/store.ts";
import { S3Endpoint } from "../support/s3-endpoint.ts";

const belongings = new Belongings();
const sse = { "x-amz-server-side-encryption": "AES256" };
const objects = new Map<string, Buffer>();
let root: string;
let s3: S3Endpoint;

beforeAll(async () => {
  root = await belongings.directory();
  s3 = await S3Endpoint.open(belongings, { root });
  await s3.bucket("bucket");
  const sizes = [1, 700, 1_458, 1_459, 30_000, 65_536, 65_537, 262_440, 400_001];
  for (const [index, size] of sizes.entries()) {
    for (const kind of ["plain", "sealed"]) {
      const key = `${kind}-${size}`;
      const bytes = Buffer.from(patternOf(size, index));
      const put = await s3.ask("PUT", `/bucket/${key}`, kind === "sealed" ? sse : {}, bytes);
      if (put.status !== 200) throw new Error(put.text);
      objects.set(key, bytes);
    }
  }
});
afterAll(() => belongings.giveBack());

let state = 4_711;
function chance(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Some of the file becomes something else; what was there before. */
async function damage(file: string, kind: number): Promise<Buffer> {
  const handle = await open(file, "r+");
  const whole = await handle.readFile();
  const from = chance(whole.length);
  const size = Math.min(1 + chance(3_000), whole.length - from);
  if (kind === 0) await handle.write(Buffer.from([whole[from]! ^ (1 << chance(8))]), 0, 1, from);
  else if (kind === 1) await handle.write(Buffer.alloc(size), 0, size, from);
  else if (kind === 2) await handle.truncate(from);
  else {
    const other = chance(whole.length - size);
    await handle.write(whole.subarray(other, other + size), 0, size, from);
    await handle.write(whole.subarray(from, from + size), 0, size, other);
  }
  await handle.close();
  return whole;
}

async function heal(file: string, whole: Buffer): Promise<void> {
  const handle = await open(file, "r+");
  await handle.write(whole, 0, whole.length, 0);
  await handle.close();
}

/** "error", or "right" where all of these bytes came. */
async function read(key: string, first: number, end: number): Promise<"right" | "error"> {
  const bytes = objects.get(key)!;
  const isWhole = first === 0 && end === bytes.length;
  try {
    const answer = await s3.ask("GET", `/bucket/${key}`, isWhole ? {} : { range: `bytes=${first}-${end - 1}` });
    if (answer.status === 500) {
      expect(answer.code).toBe("InternalError");
      expect(answer.text).toContain("is damaged at byte");
      expect(answer.text).not.toContain(root);
      return "error";
    }
    expect(answer.status).toBe(isWhole ? 200 : 206);
    expect(answer.bytes.equals(bytes.subarray(first, end)), key).toBe(true);
    return "right";
  } catch (error) {
    // Cut off: fetch says so.
    if (error instanceof TypeError) return "error";
    throw error;
  }
}

test("200 damages: every read of every object, whole and in ranges, is right or an error, and verify agrees", async () => {
  const { router } = s3.running;
  let errors = 0;
  for (let round = 0; round < 200; round++) {
    const file = path.join(root, round % 4 === 3 ? "sum" : "obj");
    const whole = await damage(file, Math.floor(round / 4) % 4);
    for (const [key, bytes] of objects) {
      const { object } = (await router.datastore.getVersion("bucket", key))!;
      const record = await router.datastore.getObject(object!);
      if (record?.status !== "saved") throw new Error(`${key} is not saved`);
      let damages = 0;
      for await (const found of router.verify(record)) damages += found.damages.length;
      const outcome = await read(key, 0, bytes.length);
      expect(outcome, `${key}, round ${round}`).toBe(damages === 0 ? "right" : "error");
      if (outcome === "right") continue;
      errors++;
      const first = chance(bytes.length);
      await read(key, first, first + 1 + chance(bytes.length - first));
    }
    await heal(file, whole);
  }
  expect(errors).toBeGreaterThan(150);
  for (const [key, bytes] of objects) expect(await read(key, 0, bytes.length)).toBe("right");
});
