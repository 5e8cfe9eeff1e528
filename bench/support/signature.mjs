/**
 * AWS Signature Version 4 in the Authorization header, as clients make it: the whole head of a request, ready to send.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, hash } from "node:crypto";

const region = "us-east-1";
const keys = new Map();

/**
 * `query`: pairs, encoded here; `headers`: lower-case names, signed where they are x-amz-… or content-md5;
 * `payload`: the value of x-amz-content-sha256. The path has to be one that needs no encoding.
 */
export function signedHead({ method, path, query = [], headers = {}, payload, size, host, access }) {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const day = time.slice(0, 8);
  const scope = `${day}/${region}/s3/aws4_request`;
  const all = { ...headers, host, "x-amz-content-sha256": payload, "x-amz-date": time };
  const signed = Object.keys(all)
    .filter((name) => name === "host" || name === "content-md5" || name.startsWith("x-amz-"))
    .toSorted();
  const queryText = query
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .toSorted()
    .join("&");
  const canonical = [
    method,
    path,
    queryText,
    ...signed.map((name) => `${name}:${all[name]}`),
    "",
    signed.join(";"),
    payload,
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, scope, hash("sha256", canonical)].join("\n");
  const signature = createHmac("sha256", signingKey(access.secret, day)).update(toSign).digest("hex");
  const target = queryText === "" ? path : `${path}?${queryText}`;
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...Object.entries(all).map(([name, value]) => `${name}: ${value}`),
    "user-agent: data-putter-bench",
    `authorization: AWS4-HMAC-SHA256 Credential=${access.key}/${scope}, SignedHeaders=${signed.join(";")}, Signature=${signature}`,
  ];
  if (size !== undefined) lines.push(`content-length: ${size}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function signingKey(secret, day) {
  const name = `${secret}/${day}`;
  if (!keys.has(name)) {
    const parts = [day, region, "s3", "aws4_request"];
    keys.set(
      name,
      parts.reduce((key, part) => createHmac("sha256", key).update(part).digest(), `AWS4${secret}`),
    );
  }
  return keys.get(name);
}
