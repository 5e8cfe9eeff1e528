/** `verify` reads the records of the datastore, too. */
import { open, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { clientOf, CommandLine } from "./support/cli.ts";

test("verify names records that are not what was written, and goes on with all objects", async () => {
  const line = await CommandLine.make();
  try {
    const running = await line.start("router", "data", "--durability", "os");
    for (const text of ["one", "two"]) {
      await writeFile(line.path(text), text);
      expect((await line.run(["put", text], clientOf(running))).code).toBe(0);
    }
    const file = path.join(running.root, "datastore", "data.mdb");
    const bytes = await readFile(file);
    const record = Buffer.from('{"count":1,"object":1}\0');
    const handle = await open(file, "r+");
    // The file is mapped: the running router sees it.
    expect(bytes.includes(record)).toBe(true);
    for (let at = bytes.indexOf(record); at >= 0; at = bytes.indexOf(record, at + 1)) {
      await handle.write(Buffer.from("2"), 0, 1, at + '{"count":'.length);
    }
    await handle.close();
    const outcome = await line.run(["verify"], clientOf(running));
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toMatch(/^the datastore's record "r\d+" \(table run\) does not match its checksum; .*\n$/);
    expect(outcome.stderr).toContain("2 objects, 2 tickets read: 1 record of the datastore damaged");
    await running.service.stop();
  } finally {
    await line.place.remove();
  }
});
