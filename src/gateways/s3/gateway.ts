/**
 * What happens to every S3 request, in this order: read the request line, find the operation, check the signature, load
 * the bucket, check permission, run the operation, and turn whatever was thrown into S3's XML.
 */
import { messageOf } from "../../core/errors.ts";
import { bucketNameSizeMax } from "../../core/limits.ts";
import { andThen, type Soon } from "../../core/soon.ts";
import type { BucketRecord } from "../../datastore/datastore.ts";
import type { HttpAnswer, HttpRefusal, HttpRequest } from "../../env/http.ts";
import type { AccessLog } from "./access-log.ts";
import { Authenticator } from "./auth/authenticate.ts";
import { anonymous, type Authentication } from "./auth/identity.ts";
import { openBody } from "./body/signed-body.ts";
import { answerPreflight, corsHeaders } from "./buckets/cors.ts";
import { checkExpectedOwner } from "./buckets/expected-owner.ts";
import { type Bucket, bucketOf } from "./model.ts";
import type { Operation, S3Call, Services } from "./operation.ts";
import { operations, OperationTable } from "./operations.ts";
import { S3Error, s3ErrorOf } from "./protocol/error.ts";
import { readRequest, type S3Request, withQueryHeaders } from "./protocol/request.ts";
import { leaf, legalText, plainDocument } from "./protocol/xml.ts";
import { errorOfRefusal } from "./refusal.ts";

export interface GatewayOptions {
  readonly services: Services;
  /** Called once for each request, when its answer is known. */
  readonly observe?: (operation: string, status: number, seconds: number, bytesIn: number, bytesOut: number) => void;
  readonly accessLog?: AccessLog;
}

export class S3Gateway {
  readonly #options: GatewayOptions;
  readonly #services: Services;
  readonly #table = new OperationTable(operations);
  readonly #authenticator: Authenticator;
  readonly #idPrefix: string;
  #requestCount = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#services = options.services;
    const { accounts, host } = options.services;
    this.#authenticator = new Authenticator({ accounts });
    this.#idPrefix = Buffer.from(host.random.bytes(5)).toString("hex").toUpperCase();
  }

  /** Never rejects. */
  async handle(http: HttpRequest): Promise<HttpAnswer> {
    const { clock } = this.#services.host;
    const began = clock.monotonic();
    const id = this.#nextId();
    const state: RequestState = {
      http,
      id,
      request: undefined,
      operation: undefined,
      authentication: undefined,
      bucket: undefined,
    };
    let answer: HttpAnswer;
    let code: string | undefined;
    try {
      answer = await this.#run(state);
    } catch (thrown) {
      const error = s3ErrorOf(thrown);
      code = error.code;
      if (error.status >= 500 && error.code !== "NotImplemented") this.#report(state, error, thrown);
      answer = errorAnswer(error, state);
    }
    const headers: { [name: string]: string | number } = {
      "x-amz-request-id": id,
      "x-amz-id-2": id,
      ...answer.headers,
    };
    if (state.bucket?.attributes.cors !== undefined && state.request !== undefined) {
      Object.assign(headers, corsHeaders(state.bucket, state.request));
    }
    const { status, body } = answer;
    const finished: HttpAnswer = body === undefined ? { status, headers } : { status, headers, body };
    this.#observe(state, finished, code, began);
    return finished;
  }

  /** For what the HTTP server does not let through to `handle`. */
  refuse(refusal: HttpRefusal): HttpAnswer {
    const error = errorOfRefusal(refusal);
    const id = this.#nextId();
    const headers = { "x-amz-request-id": id, "x-amz-id-2": id, "Content-Type": "application/xml", ...error.headers };
    return { status: error.status, headers, body: errorDocument(error, id, "") };
  }

  async #run(state: RequestState): Promise<HttpAnswer> {
    const services = this.#services;
    const now = services.host.clock.now();
    let request = (state.request = readRequest(state.http, state.id, services.settings.domains));
    if (request.method === "OPTIONS") return this.#preflight(state, request);
    const operation = (state.operation = this.#table.find(request));
    const checked = this.#authenticator.authenticate(request, now);
    const authentication = (state.authentication = checked instanceof Promise ? await checked : checked);
    if (authentication.type === "query") request = state.request = withQueryHeaders(request);
    const loaded = operation.scope === "service" ? undefined : this.#loadBucket(state, operation, request);
    const bucket = loaded instanceof Promise ? await loaded : loaded;
    const call: S3Call = {
      services,
      request,
      operation,
      authentication,
      identity: authentication.identity,
      body: openBody(request, authentication, services.digests, {
        checksumsDescribeBody: operation.checksumsOf !== "object",
      }),
      // Operations of the service do not look at it.
      bucket: bucket as Bucket,
      key: request.key ?? "",
      now,
    };
    const authorized = this.#authorize(call, bucket);
    if (authorized !== undefined) await authorized;
    try {
      const answer = operation.run(call);
      return answer instanceof Promise ? await answer : answer;
    } catch (error) {
      throw await this.#absence(call, error);
    }
  }

  /** That something is not there is told only to who may list the bucket. */
  #absence(call: S3Call, error: unknown): unknown {
    const isAbsence = error instanceof S3Error && (error.code === "NoSuchKey" || error.code === "NoSuchVersion");
    const isReading = call.request.method === "GET" || call.request.method === "HEAD";
    if (!isAbsence || !isReading) return error;
    const { services, identity, authentication, request, bucket, key, now } = call;
    const ask = { identity, authentication, request, action: "s3:ListBucket", bucket, key, now };
    return services.access.absence(services, ask, error);
  }

  /** Without a promise where nothing has to be waited for. */
  #authorize(call: S3Call, bucket: Bucket | undefined): void | Promise<void> {
    const { operation, request } = call;
    const { action } = operation;
    if (action === undefined) return undefined;
    if (typeof action === "string") return this.#allow(call, bucket, action);
    const actions = action(request);
    return actions.length === 1 ? this.#allow(call, bucket, actions[0]!) : this.#allowAll(call, bucket, actions);
  }

  async #allowAll(call: S3Call, bucket: Bucket | undefined, actions: readonly string[]): Promise<void> {
    for (const action of actions) await this.#allow(call, bucket, action);
  }

  #allow(call: S3Call, bucket: Bucket | undefined, action: string): void | Promise<void> {
    const { services, request, identity, authentication, now } = call;
    const { key, query } = request;
    const versionId = query.size === 0 ? undefined : query.get("versionId");
    return services.access.authorize(services, {
      identity,
      authentication,
      request,
      action,
      bucket,
      key,
      versionId,
      now,
    });
  }

  #loadBucket(state: RequestState, operation: Operation, request: S3Request): Soon<Bucket | undefined> {
    return andThen(this.#findBucket(request.bucket!), (record) => {
      if (record === undefined) {
        if (operation.withoutBucket === true) return undefined;
        throw new S3Error("NoSuchBucket", undefined, { elements: { BucketName: request.bucket! } });
      }
      const bucket = (state.bucket = bucketOf(record));
      checkExpectedOwner(request.header("x-amz-expected-bucket-owner"), bucket.attributes.owner);
      return bucket;
    });
  }

  /** What no bucket can be called is not even a question for the datastore; CreateBucket says what is wrong with it. */
  #findBucket(name: string): Soon<BucketRecord | undefined> {
    if (!couldBeName(name)) return undefined;
    const { datastore } = this.#services;
    return datastore.now === undefined ? datastore.getBucket(name) : datastore.now.getBucket(name);
  }

  async #preflight(state: RequestState, request: S3Request): Promise<HttpAnswer> {
    if (request.bucket === undefined) throw new S3Error("BadRequest");
    const record = await this.#findBucket(request.bucket);
    if (record !== undefined) state.bucket = bucketOf(record);
    return answerPreflight(state.bucket, request);
  }

  #observe(state: RequestState, answer: HttpAnswer, code: string | undefined, began: number): void {
    const { observe, accessLog } = this.#options;
    if (observe === undefined && accessLog === undefined) return;
    const milliseconds = this.#services.host.clock.monotonic() - began;
    const bytesIn = state.http.body.size ?? 0;
    const bytesOut = sizeOf(answer.body);
    const operation = state.operation?.name ?? "unknown";
    observe?.(operation, answer.status, milliseconds / 1000, bytesIn, bytesOut);
    if (accessLog === undefined) return;
    const identity = state.authentication?.identity ?? anonymous;
    accessLog({
      time: this.#services.host.clock.now(),
      requestId: state.id,
      peer: state.http.peer,
      user: identity.kind === "user" ? identity.key.user : undefined,
      operation,
      method: state.http.method,
      bucket: state.request?.bucket,
      key: state.request?.key,
      status: answer.status,
      code,
      bytesIn,
      bytesOut,
      milliseconds,
    });
  }

  #report(state: RequestState, error: S3Error, thrown: unknown): void {
    if (error.isTold) return;
    const { log } = this.#services.host;
    const fields = { request: state.id, operation: state.operation?.name, code: error.code, error: messageOf(thrown) };
    if (error.status === 503 || error.status === 507) log.warn("request refused", fields);
    else log.error("request failed", error.code === "InternalError" ? { ...fields, stack: stackOf(thrown) } : fields);
  }

  #nextId(): string {
    this.#requestCount = (this.#requestCount + 1) % 0x1000000;
    return this.#idPrefix + this.#requestCount.toString(16).toUpperCase().padStart(6, "0");
  }
}

/** What is known of a request so far, for its error and its line in the log. */
interface RequestState {
  readonly http: HttpRequest;
  readonly id: string;
  request: S3Request | undefined;
  operation: Operation | undefined;
  authentication: Authentication | undefined;
  bucket: Bucket | undefined;
}

function couldBeName(bucket: string): boolean {
  return bucket !== "" && Buffer.byteLength(bucket) <= bucketNameSizeMax && !bucket.includes("\0");
}

function errorAnswer(error: S3Error, { http, id, request }: RequestState): HttpAnswer {
  if (error.status === 304) return { status: 304, headers: error.headers };
  const body = errorDocument(error, id, request?.rawPath ?? http.target);
  return { status: error.status, headers: { "Content-Type": "application/xml", ...error.headers }, body };
}

/** Well-formed, whatever the client said that is repeated here. */
function errorDocument(error: S3Error, id: string, resource: string): string {
  const { code, message, elements } = error;
  const more = Object.entries(elements).map(([name, value]) => leaf(name, legalText(value)));
  return plainDocument(
    "Error",
    leaf("Code", code),
    leaf("Message", legalText(message)),
    ...more,
    leaf("Resource", legalText(resource)),
    leaf("RequestId", id),
    leaf("HostId", id),
  );
}

function sizeOf(body: HttpAnswer["body"]): number {
  if (body === undefined) return 0;
  if (typeof body === "string") return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : body.size;
}

function stackOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? thrown.stack : undefined;
}
