/** Continuation tokens of listings: opaque to clients; they say after which name to continue. */
import { S3Error } from "../protocol/error.ts";

/** What kind of token it is, for the day when there is another. */
const mark = "1";

export function tokenAfter(name: string): string {
  return Buffer.from(mark + name).toString("base64url");
}

/** InvalidArgument where it is none of ours. The empty token is the beginning: clients that have none send it. */
export function afterToken(token: string): string {
  if (token === "") return "";
  const text = Buffer.from(token, "base64url").toString("utf8");
  if (text.startsWith(mark) && Buffer.from(text).toString("base64url") === token) return text.slice(mark.length);
  throw new S3Error("InvalidArgument", "The continuation token provided is incorrect", {
    elements: { ArgumentName: "continuation-token" },
  });
}
