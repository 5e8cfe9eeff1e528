/** curl, which signs by itself, and the AWS CLI beside it: over HTTPS, with a certificate that is changed on the way. */
import { copyFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import { findClients } from "./clients.ts";
import { accessKey, describeSession, digestOf, largeSize, region, secretKey, type Session } from "./support.ts";

/** `name`.cert and `name`.key, signed by themselves. */
async function makePair(session: Session, name: string): Promise<void> {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const where = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  await session.command("openssl", [
    "req",
    "-x509",
    ...curve,
    ...where,
    "-out",
    `${name}.cert`,
    "-keyout",
    `${name}.key`,
  ]);
}

async function install(session: Session, name: string): Promise<void> {
  for (const kind of ["cert", "key"]) await copyFile(session.path(`${name}.${kind}`), session.path(`used.${kind}`));
}

function steps(session: Session): void {
  const url = (path: string): string => `https://${session.host}${path}`;
  // Older ones do not say by themselves what S3 insists on.
  const unsigned = ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"];
  const signature = [...unsigned, "--aws-sigv4", `aws:amz:${region}:s3`, "--user", `${accessKey}:${secretKey}`];
  const curl = (...args: readonly string[]): Promise<string> =>
    session.run(["--silent", "--show-error", "--fail", "--cacert", "first.cert", ...signature, ...args]);
  const [aws] = findClients("AWS CLI");

  beforeAll(() => session.file("large", someBytes(largeSize, 1)));

  test("trusts the certificate that it was given, and is refused without", async () => {
    expect(await curl(url("/"))).toContain("ListAllMyBucketsResult");
    const wrong = await session.outcome(session.client.at, ["--cacert", "second.cert", url("/")]);
    expect(wrong).toMatchObject({ code: 60, stdout: "" });
    const plain = await session.outcome(session.client.at, [`http://${session.host}/`]);
    expect(plain.stdout).not.toContain("Error");
    expect(plain.code).not.toBe(0);
  });

  test("makes a bucket, puts, gets, lists and deletes", async () => {
    await curl("--request", "PUT", url("/bucket"));
    await curl("--upload-file", session.path("first.cert"), url("/bucket/small"));
    expect(await curl(url("/bucket/small"))).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(await curl(url("/bucket?list-type=2"))).toContain("<Key>small</Key>");
    await curl("--request", "DELETE", url("/bucket/small"));
    await expect(curl(url("/bucket/small"))).rejects.toThrow("404");
  });

  test("puts and gets 100 MB, and gets a range", async () => {
    await curl("--header", "Expect: 100-continue", "--upload-file", "large", url("/bucket/large"));
    await curl("--output", "large.back", url("/bucket/large"));
    expect(await digestOf(session.path("large.back"))).toBe(await digestOf(session.path("large")));
    await curl("--range", "50000000-50000999", "--output", "range", url("/bucket/large"));
    expect(await session.command("stat", ["--format=%s", "range"])).toBe("1000\n");
  });

  test.skipIf(aws === undefined)("the AWS CLI sends and fetches 100 MB in parts over HTTPS", async () => {
    const env = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_DEFAULT_REGION: region };
    const secure = ["--endpoint-url", url(""), "--ca-bundle", session.path("first.cert")];
    const cp = ["s3", "cp", "--no-progress"];
    await session.command(aws!.at, [...secure, ...cp, "large", "s3://bucket/parts"], { env });
    await session.command(aws!.at, [...secure, ...cp, "s3://bucket/parts", "parts.back"], { env });
    expect(await digestOf(session.path("parts.back"))).toBe(await digestOf(session.path("large")));
  });

  test("takes a new certificate while it runs", async () => {
    await install(session, "second");
    const asked = ["--silent", "--cacert", "second.cert", ...signature, url("/bucket?list-type=2")];
    const answered = async (): Promise<number | null> => (await session.outcome(session.client.at, asked)).code;
    await expect.poll(answered, { timeout: 60_000, interval: 500 }).toBe(0);
    await expect(curl(url("/"))).rejects.toThrow("ended with 60");
  });
}

describeSession("curl", steps, {
  args: ["--tls-cert", "used.cert", "--tls-key", "used.key"],
  prepare: async (session) => {
    await makePair(session, "first");
    await makePair(session, "second");
    await install(session, "first");
  },
});
