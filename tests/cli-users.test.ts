/** `user add`, `user ls`, `user rm` as somebody types them, and root's access key. */
import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import { sealSecret } from "../src/compose/user-requests.ts";
import { messageSizeMax } from "../src/core/limits.ts";
import { Sealing } from "../src/gateways/s3/auth/sealing.ts";
import type { RequestClient } from "../src/wire/request-client.ts";
import { clientOf, CommandLine, type RunningService } from "./support/cli.ts";
import { Belongings, otherKey, quietHost } from "./support/store.ts";

let line: CommandLine;
let router: RunningService;
let env: Record<string, string>;
beforeAll(async () => {
  line = await CommandLine.make();
  router = await line.start("router", "users", "--durability", "os", "--log-level", "debug");
  ({ env } = clientOf(router));
});
afterAll(() => line.place.remove());

const json = (text: string): unknown[] =>
  text
    .trim()
    .split("\n")
    .map((one) => JSON.parse(one) as unknown);

describe("user", () => {
  it("add makes an account, and shows its keys", async () => {
    const outcome = await line.run(["user", "add", "alice", "--email", "alice@example.com"], { env });
    expect([outcome.code, outcome.stderr]).toEqual([0, ""]);
    expect(outcome.stdout).toMatch(/^access key +[A-Z0-9]{20}$/m);
    expect(outcome.stdout).toMatch(/^secret key +[A-Za-z0-9]{40}$/m);
    expect(outcome.stdout).toMatch(/^canonical id +[0-9a-f]{64}$/m);
    expect(outcome.stdout).toMatch(/^email +alice@example\.com$/m);
  });

  it("add takes keys and limits; buckets one by one, together, or by commas", async () => {
    const given = { ...env, DATA_PUTTER_NEW_ACCESS_KEY: "viewer", DATA_PUTTER_NEW_SECRET_KEY: "viewers-secret" };
    const viewer = await line.run(["user", "add", "viewer", "--read-only", "--json"], { env: given });
    expect(json(viewer.stdout)).toEqual([
      {
        user: "viewer",
        accessKey: "viewer",
        secretKey: "viewers-secret",
        account: "root",
        id: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        readOnly: true,
        root: false,
      },
    ]);
    const flags = ["--account", "alice", "--access-key", "backup", "--bucket", "one", "two", "--bucket", "three,four"];
    const backup = await line.run(["user", "add", "backup", ...flags, "--json"], { env });
    const buckets = ["one", "two", "three", "four"];
    expect(json(backup.stdout)).toMatchObject([{ accessKey: "backup", account: "alice", buckets, readOnly: false }]);
  });

  it("ls shows all of them, and no secret", async () => {
    const listed = json((await line.run(["user", "ls", "--json"], { env })).stdout) as Record<string, unknown>[];
    expect(listed.map(({ user }) => String(user)).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      "alice",
      "backup",
      "root",
      "viewer",
    ]);
    const table = await line.run(["user", "ls"], { env });
    expect(table.stdout).toMatch(/^USER +ACCESS KEY +ACCOUNT +LIMITED TO +EMAIL +CREATED$/m);
    expect(table.stdout).toMatch(/^backup +backup +alice +one,two,three,four +alice@example\.com /m);
    expect(table.stdout).toMatch(/^viewer +viewer +root +read only +- /m);
    expect(table.stdout + JSON.stringify(listed)).not.toMatch(/secret/i);
  });

  it("rm removes one; who is not there is told", async () => {
    expect(await line.run(["user", "rm", "viewer"], { env })).toMatchObject({ code: 0, stdout: "viewer\n" });
    const again = await line.run(["user", "rm", "viewer"], { env });
    expect([again.code, again.stderr]).toEqual([1, "data-putter user rm: there is no user viewer\n"]);
    const root = await line.run(["user", "rm", "root"], { env });
    expect(root.code).toBe(1);
    expect(root.stderr).toMatch(/^data-putter user rm: user root cannot be removed/);
  });

  it.each([
    [["user", "add", "a b"], 2, /^data-putter user add: name: 1 to 64 of .*, not "a b"$/m],
    [["user", "add", "alice"], 1, /^data-putter user add: user alice exists$/m],
    [["user", "add", "other", "--email", "ALICE@example.com"], 1, /email ALICE@example\.com: another account has it/],
    [["user", "add", "other", "--email", "a@b.c", "--read-only"], 2, /email: an account has one/],
    [["user", "add", "other", "--account", "nobody"], 1, /account nobody does not exist/],
    [["user", "add", "other", "--access-key", "a/b"], 2, /--access-key: 3 to 128 of .*, not "a\/b"/],
    [["user", "add"], 2, /missing required argument 'NAME'/],
    [["user"], 2, /Usage: data-putter user/],
  ])("%j: %i", async (args, code, message) => {
    const outcome = await line.run(args, { env });
    expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
    expect(outcome.stderr).toMatch(message);
  });

  it("a secret is on no command line, and in no file or log in plain text", async () => {
    const secret = "SecretThatNobodySees";
    const given = { ...env, DATA_PUTTER_NEW_SECRET_KEY: secret };
    expect((await line.run(["user", "add", "quiet"], { env: given })).stdout).toContain(secret);
    expect((await line.run(["user", "add", "x", "--secret-key", "a"], { env })).stderr).toMatch(/unknown option/);
    const folder = `${router.root}/datastore`;
    for (const name of await readdir(folder))
      expect((await readFile(`${folder}/${name}`)).includes(secret)).toBe(false);
    expect(router.service.stdout() + router.service.stderr()).not.toContain(secret);
    expect(router.service.stderr()).toContain("request failed");
  });
});

describe("root's access key", () => {
  const start = ["router", "--root", "rooted", "--port", "0", "--response-port", "0", "--s3-port", "0"];
  const banner = async (extra: Record<string, string> = {}): Promise<string> => {
    const service = await line.place.start("data-putter", start, { cwd: line.folder, env: extra, ready: /key from/ });
    expect(await service.stop()).toBe(0);
    return service.stdout();
  };
  const accessKeyIn = (text: string): string | undefined => /^ +access key +(\S+)$/m.exec(text)?.[1];

  it("is shown once with its secret, then without", async () => {
    const first = await banner();
    expect(accessKeyIn(first)).toMatch(/^[A-Z0-9]{20}$/);
    expect(first).toMatch(/^ +secret key +[A-Za-z0-9]{40}$/m);
    const second = await banner();
    expect(accessKeyIn(second)).toBe(accessKeyIn(first));
    expect(second).not.toContain("secret key");
  });

  it("is not spent on a start that fails", async () => {
    const args = ["router", "--root", "unlucky", "--response-port", "0", "--s3-port", "0", "--port"];
    const failed = await line.run([...args, String(router.port)]);
    expect([failed.code, failed.stdout]).toEqual([1, ""]);
    const ready = { cwd: line.folder, ready: /key from/ };
    const service = await line.place.start("data-putter", [...args, "0"], ready);
    expect(await service.stop()).toBe(0);
    expect(service.stdout()).toMatch(/^ +secret key +[A-Za-z0-9]{40}$/m);
  });

  it("can be given, and is not shown then", async () => {
    const given = { DATA_PUTTER_ACCESS_KEY: "minioadmin", DATA_PUTTER_SECRET_KEY: "minio-secret" };
    const text = await banner(given);
    expect(accessKeyIn(text)).toBe("minioadmin");
    expect(text).not.toMatch(/secret key|minio-secret/);
    expect(accessKeyIn(await banner())).toBe("minioadmin");
    const half = await line.run(start, { env: { DATA_PUTTER_ACCESS_KEY: "minioadmin" } });
    expect(half.code).toBe(2);
    expect(half.stderr).toContain("DATA_PUTTER_ACCESS_KEY and DATA_PUTTER_SECRET_KEY: set both, or none of them");
  });
});

describe("requests about users", () => {
  const belongings = new Belongings();
  let running: RunningRouter;
  let client: RequestClient;
  beforeAll(async () => {
    running = await belongings.router();
    client = await belongings.requests(running.responsePort);
  });
  afterAll(() => belongings.giveBack());

  it.each([
    ["useradd", "{", /body: must be JSON/],
    ["useradd", "[]", /body: must be a JSON object/],
    ["useradd", "{}", /name: must be given/],
    ["useradd", '{"name":"x","colour":"red"}', /"colour" is not known/],
    ["useradd", '{"name":7}', /name: must be string/],
    ["useradd", '{"name":"x","buckets":["a",1]}', /buckets: must be a list of strings/],
    ["userrm", '{"name":"x","force":true}', /"force" is not known/],
  ])("%s with %s is refused, and the connection goes on", async (operation, body, message) => {
    await expect(client.askJson(operation, {}, Buffer.from(body))).rejects.toThrow(message);
    expect(await client.askJson("userlist")).toMatchObject({ users: [{ user: "root" }] });
  });

  it("a secret that was sealed under another key is refused", async () => {
    const secret = sealSecret(new Sealing(otherKey, quietHost.random), "request", "x", "secret");
    const body = Buffer.from(JSON.stringify({ name: "x", secret }));
    await expect(client.askJson("useradd", {}, body)).rejects.toMatchObject({ code: "WRONG_KEY" });
  });

  it("as many users as fit in no single answer are listed", async () => {
    const names = Array.from({ length: 60 }, (_, index) => `u${index}`);
    const buckets = Array.from({ length: 100 }, (_, index) => `${index}`.padStart(255, "x"));
    for (const name of names) await running.accounts.add({ name, buckets });
    let [size, count] = [0, 0];
    for await (const part of client.ask("userlist")) {
      if (part.kind !== "json") continue;
      size += JSON.stringify(part.value).length;
      count += (part.value as { users: unknown[] }).users.length;
    }
    expect(count).toBe(61);
    expect(size).toBeGreaterThan(messageSizeMax);
  });
});
