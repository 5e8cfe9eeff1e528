import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import * as limits from "../core/limits.ts";
import { nodeClock } from "./node-clock.ts";
import { openLineFile } from "./node-line-file.ts";
import { silentLog } from "./node-log.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lines-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Nothing is written before it has to be. */
const clock = { ...nodeClock, after: () => ({ cancel: () => undefined }) };

test("lines are behind what is there, in order, whole", async () => {
  const file = path.join(directory, "a");
  for (const line of ["one", "two"]) {
    const lines = await openLineFile({ path: file, clock, log: silentLog });
    lines.write(line);
    lines.write("ä");
    await lines.close();
  }
  expect(readFileSync(file, "utf8")).toBe("one\nä\ntwo\nä\n");
});

test("a file that was moved away is made again, and no line is lost", async () => {
  const file = path.join(directory, "b");
  const lines = await openLineFile({ path: file, clock, log: silentLog });
  lines.write("old");
  renameSync(file, `${file}.1`);
  await lines.reopen();
  lines.write("new");
  await lines.close();
  expect([readFileSync(`${file}.1`, "utf8"), readFileSync(file, "utf8")]).toEqual(["old\n", "new\n"]);
});

test("what finds no room is dropped and told", async () => {
  const file = path.join(directory, "c");
  const told: unknown[] = [];
  const log = { ...silentLog, warn: (_: string, fields?: object) => told.push(fields) };
  const lines = await openLineFile({ path: file, clock, log });
  const line = "x".repeat(limits.accessLogWaitingSizeMax / 4);
  for (let turn = 0; turn < 7; turn++) lines.write(line);
  await lines.close();
  expect(readFileSync(file, "utf8").length).toBe((line.length + 1) * 4);
  expect(told).toEqual([{ count: 3 }]);
});

test("a file that cannot be written is an error at once", async () => {
  const opening = openLineFile({ path: path.join(directory, "no", "d"), clock, log: silentLog });
  await expect(opening).rejects.toMatchObject({ code: "INVALID" });
});
