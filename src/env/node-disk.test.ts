import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { diskContract } from "./disk.contract.ts";
import { nodeDisk } from "./node-disk.ts";

const base = mkdtempSync(path.join(os.tmpdir(), "node-disk-"));
afterAll(() => rmSync(base, { recursive: true }));

diskContract("of Node", async () => ({
  disk: nodeDisk,
  root: mkdtempSync(path.join(base, "d")),
  drive: (promise) => promise,
}));

diskContract("simulated", async () => {
  const simulation = new Simulation(1);
  const { disk } = simulation.machine("a").start();
  await simulation.clock.run(disk.makeDirectory("/data"));
  return { disk, root: "/data", drive: (promise) => simulation.clock.run(promise) };
});

const others: readonly (readonly [kind: string, make: (place: string) => void])[] = [
  ["a directory", (place) => mkdirSync(place)],
  ["a symbolic link that leads to itself", (place) => symlinkSync(path.basename(place), place)],
  ["a pipe", (place) => void execFileSync("mkfifo", [place])],
];

test.runIf(process.platform === "linux").each(others)(
  "%s is not taken for a file, nor waited for",
  async (kind, make) => {
    const place = path.join(mkdtempSync(path.join(base, "other-")), "file");
    make(place);
    const refusal = { code: "DAMAGED", message: expect.stringContaining(`${place} is ${kind}`) };
    for (const mode of ["read", "write"] as const) {
      await expect(nodeDisk.open(place, mode)).rejects.toMatchObject(refusal);
    }
    await expect(nodeDisk.create(place)).rejects.toMatchObject(refusal);
  },
);
