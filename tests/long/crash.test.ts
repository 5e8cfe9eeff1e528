/** That the comparison after a crash can fail: acknowledged operations it does not know of, and a datastore set back in time. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";

// What was lost is left lying there to be looked at.
const directory = mkdtempSync(path.join(tmpdir(), "data-putter-crash-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function crash(...args: readonly string[]): { code: number | null; said: string } {
  const program = path.join(projectRoot, "crash", "main.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--dir", directory, ...args], {
    timeout: 300_000,
  });
  return { code: status, said: `${stdout.toString()}${stderr.toString()}` };
}

describe("npm run crash", () => {
  test("finds nothing where nothing is lost", () => {
    expect(crash("--rounds", "3", "--seed", "1")).toEqual({ code: 0, said: expect.stringContaining(" 0 losses") });
  });

  test("notices what the model was not told", () => {
    const { code, said } = crash("--rounds", "10", "--seed", "2", "--break", "forget");
    expect(code).toBe(1);
    expect(said).toMatch(/FAILED: .*(no order of what happened explains it|was never asked for)/);
    expect(said).toContain("to repeat: npm run crash -- --seed 2");
  });

  test("notices that acknowledged writes are gone", () => {
    const { code, said } = crash("--rounds", "5", "--seed", "3", "--break", "rollback");
    expect(code).toBe(1);
    expect(said).toMatch(/FAILED: .*(is gone|no order of what happened explains it|does not know)/);
  });
});
