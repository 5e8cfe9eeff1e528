/** What every Disk does, Node's and the simulated one: run by node-disk.test.ts. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Disk, DiskFile } from "./host.ts";

export interface DiskUnderTest {
  readonly disk: Disk;
  /** An empty directory. */
  readonly root: string;
  /** Lets the disk work until the promise settles. */
  readonly drive: <Value>(promise: Promise<Value>) => Promise<Value>;
}

export function diskContract(name: string, make: () => Promise<DiskUnderTest>): void {
  describe(`a Disk: ${name}`, () => {
    let disk: Disk;
    let root: string;
    let drive: DiskUnderTest["drive"];
    beforeEach(async () => {
      ({ disk, root, drive } = await make());
    });
    const create = async (path: string): Promise<DiskFile> => (await drive(disk.create(path))).file;
    const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

    it("what is not there is undefined or false, not an error", async () => {
      expect(await drive(disk.open(`${root}/none`, "read"))).toBeUndefined();
      expect(await drive(disk.open(`${root}/none`, "write"))).toBeUndefined();
      expect(await drive(disk.open(`${root}/none`, "direct"))).toBeUndefined();
      expect(await drive(disk.open(`${root}/none/below`, "read"))).toBeUndefined();
      expect(await drive(disk.list(`${root}/none`))).toBeUndefined();
      expect(await drive(disk.unlink(`${root}/none`))).toBe(false);
      expect(await drive(disk.removeDirectory(`${root}/none`))).toBe(false);
    });

    it("creating tells whether the file was there, and keeps what it holds", async () => {
      const first = await drive(disk.create(`${root}/a`));
      expect(first.created).toBe(true);
      await drive(first.file.write([bytes(1, 2)], 0));
      const again = await drive(disk.create(`${root}/a`));
      expect(again.created).toBe(false);
      expect(await drive(again.file.size())).toBe(2);
      await drive(Promise.all([first.file.close(), again.file.close()]));
    });

    it("creating below a directory that is missing is ENOENT", async () => {
      await expect(drive(disk.create(`${root}/b/a`))).rejects.toMatchObject({ code: "ENOENT" });
      await expect(drive(disk.makeDirectory(`${root}/b/a`))).rejects.toMatchObject({ code: "ENOENT" });
    });

    it("pieces are written one after the other; holes read as zeros; reading ends with the file", async () => {
      const file = await create(`${root}/a`);
      await drive(file.write([bytes(1, 2), bytes(), bytes(3)], 5000));
      const into = new Uint8Array(8).fill(9);
      expect(await drive(file.read(into, 4998))).toBe(5);
      expect([...into]).toEqual([0, 0, 1, 2, 3, 9, 9, 9]);
      expect(await drive(file.read(into, 6000))).toBe(0);
      expect(await drive(file.size())).toBe(5003);
      await drive(file.sync());
      await drive(file.close());
    });

    it("more pieces than a system call takes arrive in order", async () => {
      const file = await create(`${root}/a`);
      const pieces = Array.from({ length: 2500 }, (_, index) => bytes(index & 0xff, index >> 8));
      await drive(file.write(pieces, 3));
      const into = new Uint8Array(5000);
      await drive(file.read(into, 3));
      expect(Buffer.compare(into, Buffer.concat(pieces))).toBe(0);
      await drive(file.close());
    });

    it("readNow gives what read gives, or undefined", async () => {
      const file = await create(`${root}/a`);
      await drive(file.write([bytes(1, 2, 3)], 0));
      const seen = new Set<string>();
      for (let attempt = 0; attempt < 50; attempt++) {
        const into = new Uint8Array(4);
        const count = file.readNow(into, 1);
        if (count !== undefined) seen.add(`${count}: ${into.join(" ")}`);
      }
      expect([...seen]).toEqual(["2: 2 3 0 0"]);
      await drive(file.close());
    });

    it("truncate makes shorter, and longer with zeros", async () => {
      const file = await create(`${root}/a`);
      await drive(file.write([bytes(1, 2, 3)], 0));
      await drive(file.truncate(1));
      await drive(file.truncate(3));
      const into = new Uint8Array(3).fill(9);
      expect(await drive(file.read(into, 0))).toBe(3);
      expect([...into]).toEqual([1, 0, 0]);
      await drive(file.close());
    });

    it("directories are made once, listed, and removed when they are empty", async () => {
      expect(await drive(disk.makeDirectory(`${root}/d`))).toBe(true);
      expect(await drive(disk.makeDirectory(`${root}/d`))).toBe(false);
      const file = await create(`${root}/d/a`);
      await drive(file.close());
      expect(await drive(disk.list(`${root}/d`))).toEqual(["a"]);
      expect(await drive(disk.removeDirectory(`${root}/d`))).toBe(false);
      expect(await drive(disk.unlink(`${root}/d/a`))).toBe(true);
      await drive(disk.syncDirectory(`${root}/d`));
      expect(await drive(disk.removeDirectory(`${root}/d`))).toBe(true);
      await expect(drive(disk.syncDirectory(`${root}/d`))).rejects.toMatchObject({ code: "ENOENT" });
    });

    it("a rename replaces; who has the old file open goes on with it", async () => {
      const old = await create(`${root}/a`);
      await drive(old.write([bytes(1)], 0));
      const fresh = await create(`${root}/b`);
      await drive(fresh.write([bytes(2)], 0));
      await drive(disk.rename(`${root}/b`, `${root}/a`));
      expect(await drive(disk.list(root))).toEqual(["a"]);
      const into = new Uint8Array(1);
      await drive(old.read(into, 0));
      expect(into[0]).toBe(1);
      const opened = await drive(disk.open(`${root}/a`, "read"));
      await drive(opened!.read(into, 0));
      expect(into[0]).toBe(2);
      await drive(Promise.all([old.close(), fresh.close(), opened!.close()]));
    });

    it("what is open for reading is not written", async () => {
      await drive((await create(`${root}/a`)).close());
      const file = await drive(disk.open(`${root}/a`, "read"));
      await expect(drive(file!.write([bytes(1)], 0))).rejects.toMatchObject({ code: "EBADF" });
      await drive(file!.close());
    });

    it("direct writing takes whole pages only, and is read back through the cache", async () => {
      const file = await create(`${root}/a`);
      const direct = await drive(disk.open(`${root}/a`, "direct"));
      // Not every file system has it.
      if (direct !== undefined) {
        const pages = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1 }).buffer).fill(7);
        await expect(drive(direct.write([pages.subarray(0, 4096)], 1458))).rejects.toMatchObject({ code: "EINVAL" });
        await expect(drive(direct.write([pages.subarray(0, 1458)], 0))).rejects.toMatchObject({ code: "EINVAL" });
        await drive(direct.write([pages.subarray(4096, 12_288)], 4096));
        const into = new Uint8Array(8192);
        expect(await drive(file.read(into, 4096))).toBe(8192);
        expect(into.every((byte) => byte === 7)).toBe(true);
        await drive(direct.close());
      }
      await drive(file.close());
    });

    it("a directory is locked by one at a time", async () => {
      const lock = await drive(disk.lock(root));
      expect(lock).toBeDefined();
      expect(await drive(disk.lock(root))).toBeUndefined();
      await drive(lock!.release());
      const again = await drive(disk.lock(root));
      expect(again).toBeDefined();
      await drive(again!.release());
    });
  });
}
