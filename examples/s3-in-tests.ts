/**
 * A test suite of a program that uses S3: a server of its own, in memory, empty before each test, with a clock that the tests
 * move. The same with Jest or Vitest: only the imports of the first line differ.
 *
 *   npm run build
 *   node examples/s3-in-tests.ts                               # Node 22.18 or newer
 *   npx tsc -p examples && node dist/example/s3-in-tests.js    # Node 20
 */
import { after, before, beforeEach, test } from "node:test";
import assert from "node:assert/strict";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { fakeClock, type Server, startServer } from "data-putter";

const day = 86_400_000;
const clock = fakeClock();
let server: Server;
let s3: S3Client;

before(async () => {
  const lifecycle = `<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter>
    <Expiration><Days>7</Days></Expiration></Rule></LifecycleConfiguration>`;
  server = await startServer({ inMemory: true, clock, buckets: [{ name: "uploads", lifecycle }] });
  s3 = new S3Client(server.config);
});
beforeEach(() => server.reset());
after(async () => {
  s3.destroy();
  await server.close();
});

void test("an upload can be read", async () => {
  await s3.send(new PutObjectCommand({ Bucket: "uploads", Key: "report.txt", Body: "all is well" }));
  const { Body, ContentLength } = await s3.send(new GetObjectCommand({ Bucket: "uploads", Key: "report.txt" }));
  assert.equal(await Body!.transformToString(), "all is well");
  assert.equal(ContentLength, 11);
});

void test("nothing is left of the test before", async () => {
  const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: "uploads" }));
  assert.equal(KeyCount, 0);
});

void test("temporary files go after a week", async () => {
  await s3.send(new PutObjectCommand({ Bucket: "uploads", Key: "tmp/draft", Body: "…" }));
  clock.advance(9 * day);
  await server.runLifecycle();
  const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: "uploads" }));
  assert.equal(KeyCount, 0);
});
