/** PostObject: an upload by an HTML form, which is a PutObject that is signed and answered in other ways. */
import type { HttpAnswer } from "../../../env/http.ts";
import { readPostForm } from "../auth/post-form.ts";
import type { Operation, S3Call } from "../operation.ts";
import { document, leaf } from "../protocol/xml.ts";
import { newObjectActions } from "./new-object.ts";
import { putObject } from "./put-object.ts";

export const postObjectOperations: readonly Operation[] = [
  // Who may do it is in the form.
  { name: "PostObject", method: "POST", scope: "bucket", action: undefined, run: postObject },
];

async function postObject(call: S3Call): Promise<HttpAnswer> {
  const { services, bucket, now } = call;
  const { accounts, digests, access } = services;
  const { authentication, key, fields, request, file } = await readPostForm(call.request, { accounts, digests, now });
  const { identity } = authentication;
  for (const action of newObjectActions(request)) {
    const answer = access.authorize(services, { identity, authentication, request, action, bucket, key, now });
    if (answer !== undefined) await answer;
  }
  const { headers } = await putObject({ ...call, request, authentication, identity, key, body: file });
  return answerOf(fields, { bucket: bucket.name, key, headers, origin: originOf(call) });
}

interface Posted {
  readonly bucket: string;
  readonly key: string;
  readonly headers: HttpAnswer["headers"];
  readonly origin: string;
}

/** As success_action_redirect or success_action_status want it; what they say is ignored where it cannot be. */
function answerOf(fields: ReadonlyMap<string, string>, { bucket, key, headers, origin }: Posted): HttpAnswer {
  const etag = String(headers["ETag"]);
  const target = redirectTarget(fields.get("success_action_redirect") ?? fields.get("redirect"));
  if (target !== undefined) {
    const query = Object.entries({ bucket, key, etag }).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const Location = `${target.href}${target.search === "" ? "?" : "&"}${query.join("&")}`;
    return { status: 303, headers: { ...headers, Location }, body: "" };
  }
  const Location = `${origin}/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
  switch (fields.get("success_action_status") ?? "204") {
    case "200":
      return { status: 200, headers: { ...headers, Location }, body: "" };
    case "201": {
      const body = document(
        "PostResponse",
        leaf("Location", Location),
        leaf("Bucket", bucket),
        leaf("Key", key),
        leaf("ETag", etag),
      );
      return { status: 201, headers: { ...headers, Location, "Content-Type": "application/xml" }, body };
    }
    default:
      return { status: 204, headers: { ...headers, Location } };
  }
}

function redirectTarget(text: string | undefined): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  url.hash = "";
  return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
}

function originOf({ request }: S3Call): string {
  return `${request.http.secure ? "https" : "http"}://${request.header("host") ?? ""}`;
}
