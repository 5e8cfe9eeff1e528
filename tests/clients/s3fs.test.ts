/** s3fs: a bucket as a folder, through the kernel; what is done there by cp and mv is seen there by ls and diff. */
import { existsSync, readFileSync } from "node:fs";
import { appendFile, readdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import {
  accessKey,
  describeSession,
  digestOf,
  hasBytes,
  largeSize,
  makeTree,
  manyCount,
  putObjects,
  sdkClient,
  secretKey,
  type Session,
} from "./support.ts";

/** Whether this kernel, and who runs this, can mount such a thing at all. */
function whyNoMount(): string | undefined {
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse here";
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const systemAdministration = 21n;
  if (((BigInt(`0x${effective}`) >> systemAdministration) & 1n) === 0n) return "mounting takes CAP_SYS_ADMIN";
  return undefined;
}

function steps(session: Session): void {
  const mounted = (...names: readonly string[]): string => session.path("mounted", ...names);

  /** It goes into the background once the folder is there. */
  async function mount(): Promise<void> {
    const passwords = await session.file("passwd-s3fs", `${accessKey}:${secretKey}\n`);
    const where = [`url=${session.endpoint}`, "use_path_request_style", `passwd_file=${passwords}`];
    await session.run(["bucket", mounted(), ...where.flatMap((option) => ["-o", option])]);
  }

  /** So that nothing is answered from what s3fs remembers. */
  async function remount(): Promise<void> {
    await session.command("umount", [mounted()]);
    await mount();
  }

  beforeAll(async () => {
    await session.command("mkdir", ["mounted"]);
    await sdkClient(session).send(new CreateBucketCommand({ Bucket: "bucket" }));
    await session.file("large", someBytes(largeSize, 1));
    await mount();
  });
  afterAll(() => session.outcome("umount", ["--lazy", mounted()]));

  test("an empty bucket is an empty folder", async () => {
    expect(await session.command("findmnt", ["--noheadings", "--output=FSTYPE", mounted()])).toBe("fuse.s3fs\n");
    expect(await readdir(mounted())).toEqual([]);
  });

  test("writes, reads, changes and cuts a small file", async () => {
    const file = mounted("a file +ü%.txt");
    await writeFile(file, "a few bytes");
    await appendFile(file, " and more");
    expect(await readFile(file, "utf8")).toBe("a few bytes and more");
    await truncate(file, 5);
    expect(await readFile(file, "utf8")).toBe("a few");
    expect((await stat(file)).size).toBe(5);
  });

  test("writes and reads 100 MB in parts", async () => {
    await session.command("cp", ["large", mounted("large")]);
    await remount();
    expect(await digestOf(mounted("large"))).toBe(await digestOf(session.path("large")));
  });

  test("reads from the middle of a large file", async () => {
    await remount();
    const range = ["bs=1000", "skip=50000", "count=1", "status=none"];
    await session.command("dd", [`if=${mounted("large")}`, "of=range", ...range]);
    expect(await hasBytes(session.path("range"), someBytes(largeSize, 1).subarray(50_000_000, 50_001_000))).toBe(true);
  });

  test("renames files, a large one too, and folders with what is in them", async () => {
    await rename(mounted("large"), mounted("renamed"));
    expect(await digestOf(mounted("renamed"))).toBe(await digestOf(session.path("large")));
    await session.command("mkdir", ["-p", mounted("one/two")]);
    await writeFile(mounted("one/two/three"), "3");
    await rename(mounted("one"), mounted("other"));
    expect(await readFile(mounted("other/two/three"), "utf8")).toBe("3");
    expect((await readdir(mounted())).sort()).toEqual(["a file +ü%.txt", "other", "renamed"]);
  });

  test("keeps modes, owners, times and links", async () => {
    const file = mounted("other/two/three");
    await session.command("chmod", ["640", file]);
    await session.command("touch", ["--date=2001-02-03T04:05:06Z", file]);
    await session.command("ln", ["--symbolic", "two/three", mounted("other/link")]);
    await remount();
    expect(await session.command("stat", ["--format=%a %Y", file])).toBe("640 981173106\n");
    expect(await readFile(mounted("other/link"), "utf8")).toBe("3");
  });

  test("a tree that is copied there, and seen anew, has no difference", async () => {
    await makeTree(session.path("tree"), { count: 60, sizes: [9_000_000, 30_000_000] });
    await session.command("cp", ["--recursive", "tree", mounted("tree")]);
    await remount();
    expect(await session.differences("tree", mounted("tree"))).toBe("");
  });

  test("lists more files than a page of a listing has", async () => {
    const names = Array.from({ length: manyCount }, (_, index) => `many/${index}`);
    await putObjects(sdkClient(session), "bucket", names);
    expect(await readdir(mounted("many"))).toHaveLength(manyCount);
  });

  test("removes files and folders", async () => {
    await rm(mounted("other"), { recursive: true });
    await session.command("rm", ["-r", mounted("tree"), mounted("many"), mounted("renamed")]);
    expect(await readdir(mounted())).toEqual(["a file +ü%.txt"]);
    await remount();
    expect(await readdir(mounted())).toEqual(["a file +ü%.txt"]);
  });
}

const impossible = whyNoMount();
describeSession("s3fs", steps, impossible === undefined ? {} : { impossible });
