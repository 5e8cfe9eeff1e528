/** boto3: the steps are functions of boto3-session.py, each run by the Python that has it. */
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { someBytes } from "../support/program.ts";
import { accessKey, describeSession, largeSize, makeTree, region, secretKey } from "./support.ts";

const program = fileURLToPath(new URL("boto3-session.py", import.meta.url));

describeSession("boto3", (session) => {
  beforeAll(async () => {
    await session.file("large", someBytes(largeSize, 1));
    await makeTree(session.path("tree"), { count: 200, sizes: [9_000_000, 20_000_000] });
  });

  test.each([
    ["buckets", "makes buckets, waits for them, says where they are"],
    ["small", "puts and gets small objects under keys of all kinds"],
    ["large", "sends and fetches 100 MB in parts, from a file and from a stream"],
    ["ranges", "gets ranges"],
    ["copies", "copies within the store, in parts too"],
    ["listing", "lists more than a page of objects"],
    ["conditions", "reads and writes on condition"],
    ["checksums", "gives checksums, and has them back, of parts too"],
    ["presigned", "signs URLs and a form, which work without keys"],
    ["signatures", "signs by version 2 too"],
    ["versions", "keeps versions, brings one back, and deletes for good"],
    ["settings", "sets tags, lifecycle and CORS; reads what is not set as such"],
    ["trees", "sends a tree and fetches it"],
    ["deletes", "deletes a thousand objects at once, and at last the bucket"],
  ])("%s: %s", async (step) => {
    const environment = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_DEFAULT_REGION: region };
    const env = { ...environment, ENDPOINT: session.endpoint, PYTHONDONTWRITEBYTECODE: "1" };
    expect(await session.run([program, step], { env })).toBe("");
    if (step === "trees") expect(await session.differences("tree", "tree.back")).toBe("");
  });
});
