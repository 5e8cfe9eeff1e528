/**
 * GetBucketEncryption, PutBucketEncryption, DeleteBucketEncryption: how objects of a bucket are encrypted by default.
 *
 * AWS encrypts what has no configuration as AES256 since 2023. Here it lies as it was sent, which ordinary tools can
 * read, and so the bucket says that it has none.
 */
import type { HttpAnswer } from "../../../env/http.ts";
import { xmlSizeMax } from "../../../core/limits.ts";
import type { BucketEncryption } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { document, element, leaf, parseXml, type Xml, type XmlNode } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

export const bucketEncryptionOperations: readonly Operation[] = [
  {
    name: "GetBucketEncryption",
    method: "GET",
    scope: "bucket",
    when: "encryption",
    action: "s3:GetEncryptionConfiguration",
    run: getEncryption,
  },
  {
    name: "PutBucketEncryption",
    method: "PUT",
    scope: "bucket",
    when: "encryption",
    action: "s3:PutEncryptionConfiguration",
    run: putEncryption,
  },
  {
    name: "DeleteBucketEncryption",
    method: "DELETE",
    scope: "bucket",
    when: "encryption",
    action: "s3:PutEncryptionConfiguration",
    run: deleteEncryption,
  },
];

type Algorithm = NonNullable<BucketEncryption["algorithm"]>;

async function getEncryption({ bucket }: S3Call): Promise<HttpAnswer> {
  const { encryption } = bucket.attributes;
  if (encryption === undefined) {
    throw new S3Error("ServerSideEncryptionConfigurationNotFoundError", undefined, {
      elements: { BucketName: bucket.name },
    });
  }
  return xml(document("ServerSideEncryptionConfiguration", ruleXml(encryption)));
}

async function putEncryption(call: S3Call): Promise<HttpAnswer> {
  const root = parseXml(await call.body.collect(xmlSizeMax), "ServerSideEncryptionConfiguration");
  const configuration = readConfiguration(root);
  await changeBucket(call, (attributes) => {
    // As with AWS: who says nothing of what is blocked changes nothing of it.
    const blocked = configuration.blocked ?? attributes.encryption?.blocked;
    return { ...attributes, encryption: blocked === undefined ? configuration : { ...configuration, blocked } };
  });
  return empty();
}

async function deleteEncryption(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "encryption"));
  return noContent();
}

// ── XML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

function ruleXml({ algorithm, keyId, bucketKey, blocked }: BucketEncryption): Xml {
  const byDefault = element(
    "ApplyServerSideEncryptionByDefault",
    leaf("SSEAlgorithm", algorithm),
    leaf("KMSMasterKeyID", keyId),
  );
  return element(
    "Rule",
    algorithm === undefined ? undefined : byDefault,
    leaf("BucketKeyEnabled", bucketKey ?? false),
    blocked === undefined ? undefined : element("BlockedEncryptionTypes", leaf("EncryptionType", blocked)),
  );
}

function readConfiguration(root: XmlNode): BucketEncryption {
  const rule = root.only("Rule").require("Rule");
  rule.only("ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes");
  const byDefault = rule.child("ApplyServerSideEncryptionByDefault");
  const blocked = readBlocked(rule.child("BlockedEncryptionTypes"));
  if (byDefault === undefined && blocked === undefined) throw new S3Error("MalformedXML");
  const bucketKey = readBoolean(rule.value("BucketKeyEnabled"));
  return {
    ...(byDefault === undefined ? {} : readDefault(byDefault)),
    ...(bucketKey ? { bucketKey } : {}),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

/** That there is such a key is not looked at here but when something is written, as with AWS. */
function readDefault(byDefault: XmlNode): BucketEncryption {
  byDefault.only("SSEAlgorithm", "KMSMasterKeyID");
  const algorithm = byDefault.requireValue("SSEAlgorithm");
  const keyId = byDefault.value("KMSMasterKeyID") ?? "";
  if (!isAlgorithm(algorithm)) throw new S3Error("MalformedXML");
  if (keyId === "") return { algorithm };
  if (algorithm !== "AES256") return { algorithm, keyId };
  const message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
  throw invalidArgument("ApplyServerSideEncryptionByDefault", keyId, message);
}

function isAlgorithm(text: string): text is Algorithm {
  return text === "AES256" || text === "aws:kms" || text === "aws:kms:dsse";
}

function readBlocked(types: XmlNode | undefined): BucketEncryption["blocked"] {
  if (types === undefined) return undefined;
  const named = types.only("EncryptionType").all("EncryptionType");
  const [type] = named.map((each) => each.text.trim());
  if (named.length !== 1 || (type !== "SSE-C" && type !== "NONE")) throw new S3Error("MalformedXML");
  return type;
}

function readBoolean(text = "false"): boolean {
  const value = text.toLowerCase();
  if (value !== "true" && value !== "false") throw new S3Error("MalformedXML");
  return value === "true";
}
