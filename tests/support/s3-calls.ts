/**
 * Runs operations of the S3 gateway without HTTP and signatures: on a datastore, accounts and access control of their
 * own, with a request as it would be read off the wire. For what an operation does; the way to it has its own tests.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseKey } from "../../src/core/key.ts";
import { type Datastore } from "../../src/datastore/datastore.ts";
import { Writer } from "../../src/datastore/fixture.contract.ts";
import { openEmbedded } from "../../src/datastore/embedded.ts";
import { nodeHost } from "../../src/env/node-host.ts";
import { silentLog } from "../../src/env/node-log.ts";
import type { HttpAnswer } from "../../src/env/http.ts";
import { Access } from "../../src/gateways/s3/access/access.ts";
import { Accounts, type AccessKey } from "../../src/gateways/s3/auth/accounts.ts";
import { anonymous, type Identity } from "../../src/gateways/s3/auth/identity.ts";
import { bucketOf, plain, type Bucket, type VersionAttributes } from "../../src/gateways/s3/model.ts";
import type { Operation, S3Call, S3Settings, Services } from "../../src/gateways/s3/operation.ts";
import { s3ErrorOf, type S3Error } from "../../src/gateways/s3/protocol/error.ts";
import { readRequest } from "../../src/gateways/s3/protocol/request.ts";

export interface Ask {
  readonly query?: { readonly [name: string]: string };
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
  readonly bucket?: string;
  readonly key?: string;
  /** root where nobody is named. */
  readonly as?: Identity;
  readonly now?: number;
}

export interface Answered {
  readonly status: number;
  readonly headers: HttpAnswer["headers"];
  readonly text: string;
}

const host = nodeHost(silentLog);
const key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const settings = { region: "us-east-1", domains: [], ownership: "BucketOwnerEnforced", dayMs: 86_400_000 };

export class S3Calls {
  readonly datastore: Datastore;
  readonly accounts: Accounts;
  readonly root: AccessKey;
  readonly writer: Writer;
  readonly #directory: string;
  readonly #services: Services;

  private constructor(
    directory: string,
    datastore: Datastore,
    accounts: Accounts,
    root: AccessKey,
    more: Partial<S3Settings>,
  ) {
    this.#directory = directory;
    this.datastore = datastore;
    this.accounts = accounts;
    this.root = root;
    this.writer = new Writer(datastore);
    const access = new Access();
    // These operations move no bytes of objects.
    this.#services = {
      host,
      datastore,
      accounts,
      access,
      settings: { ...settings, ...more },
    } as unknown as Services;
  }

  static async open(more: Partial<S3Settings> = {}): Promise<S3Calls> {
    const directory = await mkdtemp(join(tmpdir(), "s3-calls-"));
    const datastore = await openEmbedded({ directory, clock: host.clock, durability: "os", log: silentLog });
    const accounts = await Accounts.open({ datastore, host, key });
    const { accessKey } = await accounts.ensureRoot();
    return new S3Calls(directory, datastore, accounts, accessKey, more);
  }

  async close(): Promise<void> {
    await this.datastore.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** A bucket of root's, made without the gateway. */
  async makeBucket(name: string, more: Partial<Bucket["attributes"]> = {}): Promise<string> {
    await this.datastore.createBucket(
      name,
      plain({ owner: this.root.account.id, ownership: "BucketOwnerEnforced", ...more }),
      0,
    );
    return name;
  }

  async put(
    bucket: string,
    key: string,
    more: Partial<VersionAttributes> = {},
    now = 1_790_000_000_000,
  ): Promise<string> {
    const attributes = plain({ etag: "d41d8cd98f00b204e9800998ecf8427e", ...more });
    return (await this.writer.put(bucket, key, { size: 0, attributes, now })).version;
  }

  /** Runs the operation of this name; errors come as the gateway would answer them, but for their XML. */
  async run(operations: readonly Operation[], name: string, ask: Ask = {}): Promise<Answered> {
    const operation = operations.find((each) => each.name === name)!;
    const answer = await operation.run(await this.#call(operation, ask));
    return {
      status: answer.status,
      headers: answer.headers,
      text: textOf(answer.body),
    };
  }

  async refused(operations: readonly Operation[], name: string, ask: Ask = {}): Promise<S3Error> {
    const answer = await this.run(operations, name, ask).catch(s3ErrorOf);
    if (answer instanceof Error) return answer;
    throw new Error(`${name} was not refused: ${answer.text}`);
  }

  async #call(operation: Operation, ask: Ask): Promise<S3Call> {
    const { query = {}, headers = {}, body, bucket, key } = ask;
    const path = [bucket, key].filter((part) => part !== undefined).map(encodeURIComponent);
    const target = `/${path.join("/")}?${new URLSearchParams(query).toString()}`;
    const bytes = Buffer.from(body ?? "");
    const request = readRequest(
      {
        method: operation.method,
        target,
        headers,
        peer: "127.0.0.1",
        secure: false,
        body: { size: bytes.length, read: async () => {} },
      },
      "0000000000000001",
      [],
    );
    const record = bucket === undefined ? undefined : await this.datastore.getBucket(bucket);
    const identity = ask.as ?? { kind: "user", key: this.root };
    return {
      services: this.#services,
      request,
      operation,
      identity,
      authentication: { identity, payload: { kind: "unsigned" }, type: "header", signedAt: undefined },
      body: {
        size: bytes.length,
        algorithm: headers["x-amz-checksum-crc32"] === undefined ? undefined : "CRC32",
        collect: async () => bytes,
      } as unknown as S3Call["body"],
      bucket: record === undefined ? (undefined as unknown as Bucket) : bucketOf(record),
      key: key ?? "",
      now: ask.now ?? 1_790_000_000_000,
    };
  }
}

function textOf(body: HttpAnswer["body"]): string {
  if (typeof body === "string") return body;
  return body instanceof Uint8Array ? Buffer.from(body).toString() : "";
}

export const nobody: Identity = anonymous;
