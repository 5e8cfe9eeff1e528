/** `encryption-key add`, `ls`, `rotate` as somebody types them. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { clientOf, CommandLine, type RunningService } from "./support/cli.ts";

let line: CommandLine;
let router: RunningService;
let env: Record<string, string>;
beforeAll(async () => {
  line = await CommandLine.make();
  router = await line.start("router", "keys", "--durability", "os", "--s3-port", "0");
  ({ env } = clientOf(router));
});
afterAll(() => line.place.remove());

const run = (...args: readonly string[]) => line.run(["encryption-key", ...args], { env });

it("add makes a key, rotate gives it a version, ls shows both and no key", async () => {
  expect(await run("add", "payroll")).toMatchObject({ code: 0, stdout: "payroll  version 1\n", stderr: "" });
  expect(await run("rotate", "payroll")).toMatchObject({ code: 0, stdout: "payroll  version 2\n" });
  expect((await run("add", "mail/2026")).code).toBe(0);
  const table = await run("ls");
  expect(table.stdout).toMatch(/^NAME +VERSION +CREATED +ROTATED$/m);
  expect(table.stdout).toMatch(/^mail\/2026 +1 +\S.* +-$/m);
  expect(table.stdout).toMatch(/^payroll +2 +\S/m);
  const listed = (await run("ls", "--json")).stdout.trim().split("\n");
  expect(listed.map((each) => Object.keys(JSON.parse(each) as object))).toEqual([
    ["name", "createdAt", "version", "rotatedAt"],
    ["name", "createdAt", "version", "rotatedAt"],
  ]);
});

it.each([
  [["add", "payroll"], 1, /^data-putter encryption-key add: encryption-key payroll exists$/m],
  [["rotate", "nobody"], 1, /^data-putter encryption-key rotate: encryption key nobody: there is none$/m],
  [["add", "a b"], 2, /NAME of an encryption key: 1 to 128 .*, not "a b"$/m],
  [["add", "aws/s3"], 2, /aws\/s3 is reserved/],
  [["add"], 2, /missing required argument 'NAME'/],
])("%j is refused with exit code %i", async (args, code, message) => {
  const outcome = await run(...args);
  expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
  expect(outcome.stderr).toMatch(message);
});

it("the names lie in the datastore, and what is sealed lies beside them", async () => {
  const folder = join(router.root, "datastore");
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
  expect(files.some((bytes) => bytes.includes('"sealed"'))).toBe(true);
});
