/** S3 requests without a server: what a SignedRequest, or any head and body, looks like to the gateway. */
import type { HttpRequest } from "../../src/env/http.ts";
import { readRequest, type S3Request } from "../../src/gateways/s3/protocol/request.ts";
import type { AccessKey } from "../../src/gateways/s3/auth/accounts.ts";
import { S3Error } from "../../src/gateways/s3/protocol/error.ts";
import { wireBytes, type SignedRequest } from "./s3-signer.ts";

export interface RawRequest {
  readonly method?: string;
  readonly target: string;
  readonly headers: { readonly [name: string]: string };
  /** As the server would hand it over, piece by piece. */
  readonly body?: Uint8Array | readonly Uint8Array[];
  /** As content-length said; the size of the body where that is not given, undefined where it was not announced. */
  readonly size?: number | undefined;
}

export function rawRequest(raw: RawRequest, domains: readonly string[] = []): S3Request {
  const pieces = raw.body === undefined ? [] : raw.body instanceof Uint8Array ? [raw.body] : raw.body;
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const http: HttpRequest = {
    method: raw.method ?? "GET",
    target: raw.target,
    headers: raw.headers,
    peer: "127.0.0.1",
    secure: false,
    body: {
      size: "size" in raw ? raw.size : total,
      read: async (take) => {
        for (const piece of pieces) await take(piece);
      },
    },
  };
  return readRequest(http, "0123456789ABCDEF", domains);
}

/** Through its bytes on the wire, so that nothing of it is kept but what would be sent. */
export function receivedRequest(signed: SignedRequest): S3Request {
  const [head] = Buffer.from(wireBytes(signed)).toString("latin1").split("\r\n\r\n", 1) as [string];
  const [first, ...lines] = head.split("\r\n") as [string, ...string[]];
  const [method, target] = first.split(" ") as [string, string];
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  return rawRequest({ method, target, headers, ...(signed.body === undefined ? {} : { body: signed.body }) });
}

export function accessKeyOf(accessKey: string, secretKey: string): AccessKey {
  const account = { id: "0".repeat(64), name: "tester", email: undefined, createdAt: 0 };
  return { accessKey, secretKey, user: "tester", account, readOnly: false, buckets: undefined, root: false };
}

/** The code of the S3Error that it throws; undefined where it throws none. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return undefined;
}
