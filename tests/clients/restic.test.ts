/** restic: backups of a tree with thousands of small files, each read again in full, and older ones given up. */
import { beforeAll, expect, test } from "vitest";
import { accessKey, describeSession, makeTree, megabyte, region, secretKey } from "./support.ts";

describeSession("restic", (session) => {
  const restic = (...args: readonly string[]): Promise<string> => {
    const keys = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_DEFAULT_REGION: region };
    const repository = { RESTIC_REPOSITORY: `s3:${session.endpoint}/backups/of me`, RESTIC_PASSWORD: "password" };
    return session.run(args, { env: { ...keys, ...repository } });
  };
  const snapshots = async (): Promise<number> => (JSON.parse(await restic("snapshots", "--json")) as unknown[]).length;

  beforeAll(() =>
    makeTree(session.path("tree"), { count: 3_000, sizes: [40 * megabyte, 25 * megabyte, 7 * megabyte] }),
  );

  test("makes a repository, in a bucket that it makes too", async () => {
    expect(await restic("init")).toContain("created restic repository");
  });

  test("backs up thousands of small files and some large ones", async () => {
    const lines = (await restic("backup", "--json", "tree")).trim().split("\n");
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ message_type: "summary", files_new: 3_017 });
  });

  test("a second backup sends only what has changed", async () => {
    await session.file("tree/changed", "changed");
    await session.command("rm", ["-r", "tree/folder-1"]);
    const lines = (await restic("backup", "--json", "tree")).trim().split("\n");
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ files_new: 1, files_changed: 0 });
    expect(await snapshots()).toBe(2);
  });

  test("checks every byte of it", async () => {
    expect(await restic("check", "--read-data")).toContain("no errors were found");
  });

  test("restores it, and there is no difference", async () => {
    await restic("restore", "latest", "--target", "restored");
    expect(await session.differences("tree", "restored/tree")).toBe("");
  });

  test("gives up the older backup, packs anew, and the rest is whole", async () => {
    await restic("forget", "--keep-last=1", "--prune", "--max-unused=0");
    expect(await snapshots()).toBe(1);
    expect(await restic("check", "--read-data")).toContain("no errors were found");
    await restic("restore", "latest", "--target", "again");
    expect(await session.differences("tree", "again/tree")).toBe("");
  });
});
