import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { PartFile, type PartIdentity } from "./part-file.ts";

const identity: PartIdentity = {
  fingerprint: "0123456789abcdef",
  object: "1A",
  createdAt: 1,
  size: 10,
  offset: 0,
  length: 10,
};

let directory: string;
let target: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), "data-putter-part-"));
  target = path.join(directory, "file");
});
afterEach(() => fs.rm(directory, { recursive: true, force: true }));

async function leavePart(text: string): Promise<void> {
  const part = await PartFile.open(target, identity, false);
  await part.write(Buffer.from(text));
  await part.leave();
}

/** What the part holds, opened once more and left. */
async function resumedSize(wanted: PartIdentity = identity): Promise<number> {
  const part = await PartFile.open(target, wanted, true);
  await part.leave();
  return part.size;
}

it("has no final name before it is whole, and nothing else afterwards", async () => {
  const part = await PartFile.open(target, identity, false);
  await part.write(Buffer.from("01234"));
  expect(await fs.readdir(directory)).toEqual(["file.part"]);
  await part.write(Buffer.from("56789"));
  await part.finish();
  expect(await fs.readdir(directory)).toEqual(["file"]);
  expect(await fs.readFile(target, "utf8")).toBe("0123456789");
});

it("what was left is continued", async () => {
  await leavePart("01234");
  const part = await PartFile.open(target, identity, true);
  expect(part.size).toBe(5);
  await part.write(Buffer.from("56789"));
  await part.finish();
  expect(await fs.readdir(directory)).toEqual(["file"]);
  expect(await fs.readFile(target, "utf8")).toBe("0123456789");
});

it("without being asked to, it begins anew", async () => {
  await leavePart("01234");
  const part = await PartFile.open(target, identity, false);
  expect(part.size).toBe(0);
  await part.leave();
});

it.each([
  ["another object", { object: "1B" }],
  ["another store", { fingerprint: "fedcba9876543210" }],
  ["an object of the same id, made later", { createdAt: 2 }],
  ["another range", { offset: 1, length: 9 }],
])("a part of %s is not continued", async (_, difference) => {
  await leavePart("01234");
  expect(await resumedSize({ ...identity, ...difference })).toBe(0);
});

it("bytes that nothing says are on disk are not trusted", async () => {
  await fs.writeFile(`${target}.part`, "anything");
  expect(await resumedSize()).toBe(0);
  await leavePart("01234");
  await fs.appendFile(`${target}.part`, "\0\0\0");
  expect(await resumedSize()).toBe(5);
});

it("a part that became shorter is continued from where it ends now", async () => {
  await leavePart("01234");
  await fs.truncate(`${target}.part`, 2);
  expect(await resumedSize()).toBe(2);
});

it("a state that is damaged is none", async () => {
  await leavePart("01234");
  await fs.writeFile(`${target}.part.json`, '{"fing');
  expect(await resumedSize()).toBe(0);
});

it("of two that write to one name, the later one has it", async () => {
  const first = await PartFile.open(target, identity, false);
  await first.write(Buffer.from("aaaaaaaaaa"));
  const second = await PartFile.open(target, identity, false);
  await second.write(Buffer.from("bbbbbbbbbb"));
  await expect(first.finish()).rejects.toMatchObject({ code: "CONFLICT" });
  await second.finish();
  await first.close();
  expect(await fs.readFile(target, "utf8")).toBe("bbbbbbbbbb");
});
