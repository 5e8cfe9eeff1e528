/** A valid body for every operation that takes XML or JSON: what bad input is made of. */

export interface DocumentCase {
  readonly name: string;
  readonly method: "PUT" | "POST";
  /** With the upload's id for `UPLOAD`. */
  readonly path: string;
  readonly body: string;
  /** What AWS requires besides: Content-MD5 or a checksum. */
  readonly digest?: true;
  /** Not XML: a policy. */
  readonly isJson?: true;
  /** Its whole body is optional: an empty one is no error. */
  readonly isOptional?: true;
  /** Of its answer, where that is not 200. */
  readonly status?: number;
  /** The code of a body that is not what it should be, where that is not MalformedXML. */
  readonly code?: string;
}

const ns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
const tagging = `<Tagging ${ns}><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`;
const acl =
  `<AccessControlPolicy ${ns}><Owner><ID>OWNER</ID></Owner><AccessControlList><Grant>` +
  '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>OWNER</ID></Grantee>' +
  "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>";

/** On a bucket `bucket`, one with ACLs `acls`, one with object lock `locked`; the object `object` is in each of them. */
export const documents: readonly DocumentCase[] = [
  {
    name: "CreateBucket",
    method: "PUT",
    path: "/made",
    isOptional: true,
    body: `<CreateBucketConfiguration ${ns}><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`,
  },
  { name: "PutBucketAcl", method: "PUT", path: "/acls?acl", body: acl, code: "MalformedACLError" },
  { name: "PutObjectAcl", method: "PUT", path: "/acls/object?acl", body: acl, code: "MalformedACLError" },
  {
    name: "PutBucketEncryption",
    method: "PUT",
    path: "/bucket?encryption",
    body:
      `<ServerSideEncryptionConfiguration ${ns}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256` +
      "</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>" +
      "</ServerSideEncryptionConfiguration>",
  },
  { name: "PutBucketTagging", method: "PUT", path: "/bucket?tagging", body: tagging },
  { name: "PutObjectTagging", method: "PUT", path: "/bucket/object?tagging", body: tagging },
  {
    name: "PutBucketCors",
    method: "PUT",
    path: "/bucket?cors",
    body:
      `<CORSConfiguration ${ns}><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>` +
      "<AllowedHeader>*</AllowedHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule></CORSConfiguration>",
  },
  {
    name: "PutBucketLifecycleConfiguration",
    method: "PUT",
    path: "/bucket?lifecycle",
    body:
      `<LifecycleConfiguration ${ns}><Rule><ID>rule</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v` +
      "</Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Days>3650</Days></Expiration>" +
      "<NoncurrentVersionExpiration><NoncurrentDays>99</NoncurrentDays></NoncurrentVersionExpiration></Rule>" +
      "</LifecycleConfiguration>",
  },
  {
    name: "PutBucketOwnershipControls",
    method: "PUT",
    path: "/bucket?ownershipControls",
    body: `<OwnershipControls ${ns}><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`,
  },
  {
    name: "PutPublicAccessBlock",
    method: "PUT",
    path: "/bucket?publicAccessBlock",
    body: `<PublicAccessBlockConfiguration ${ns}><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>`,
  },
  {
    name: "PutBucketVersioning",
    method: "PUT",
    path: "/bucket?versioning",
    body: `<VersioningConfiguration ${ns}><Status>Suspended</Status></VersioningConfiguration>`,
  },
  {
    name: "DeleteObjects",
    method: "POST",
    path: "/bucket?delete",
    digest: true,
    body: `<Delete ${ns}><Object><Key>nothing</Key></Object><Object><Key>other</Key><VersionId>null</VersionId></Object></Delete>`,
  },
  {
    name: "PutObjectLockConfiguration",
    method: "PUT",
    path: "/locked?object-lock",
    body: `<ObjectLockConfiguration ${ns}><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`,
  },
  {
    name: "PutObjectRetention",
    method: "PUT",
    path: "/locked/object?retention",
    body: `<Retention ${ns}><Mode>GOVERNANCE</Mode><RetainUntilDate>2090-01-01T00:00:00Z</RetainUntilDate></Retention>`,
  },
  {
    name: "PutObjectLegalHold",
    method: "PUT",
    path: "/locked/object?legal-hold",
    body: `<LegalHold ${ns}><Status>OFF</Status></LegalHold>`,
  },
  {
    name: "CompleteMultipartUpload",
    method: "POST",
    path: "/bucket/upload?uploadId=UPLOAD",
    body: `<CompleteMultipartUpload ${ns}><Part><PartNumber>1</PartNumber><ETag>"ETAG"</ETag></Part></CompleteMultipartUpload>`,
  },
  {
    name: "PutBucketPolicy",
    method: "PUT",
    path: "/bucket?policy",
    isJson: true,
    status: 204,
    code: "MalformedPolicy",
    body: JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Principal: { AWS: "*" },
          Action: ["s3:GetObject"],
          Resource: "arn:aws:s3:::bucket/public/*",
          Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" }, StringLike: { "aws:UserAgent": ["a*", "b?"] } },
        },
      ],
    }),
  },
];

/** XML that is wrong in one way each; `document` is a valid one. */
export const spoilings: readonly (readonly [name: string, spoil: (document: string) => Uint8Array | string])[] = [
  ["truncated", (document) => document.slice(0, document.length >> 1)],
  ["without its last bracket", (document) => document.slice(0, -1)],
  ["of another root", () => `<Other ${ns}><Status>Enabled</Status></Other>`],
  ["followed by another", (document) => document + document],
  ["with an element that is not known", (document) => document.replace(/>/, "><Unheard>of</Unheard>")],
  ["with an entity of its own", (document) => dtd('<!ENTITY a "b">', "&a;", document)],
  ["with an entity bomb", (document) => dtd(bomb, "&h;", document)],
  ["with an external entity", (document) => dtd('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;", document)],
  ["with a parameter entity", (document) => dtd('<!ENTITY % a SYSTEM "http://127.0.0.1:1/"> %a;', "", document)],
  ["nested 100,000 deep", (document) => document.replace(/>/, `>${"<a>".repeat(100_000)}${"</a>".repeat(100_000)}`)],
  ["with as many elements as fit", () => `<Delete>${"<Object/>".repeat(100_000)}</Delete>`],
  ["nested without end", () => "<a>".repeat(100_000)],
  ["of invalid UTF-8", (document) => Buffer.from(document.replace(/>/, ">\xff\xfe"), "latin1")],
  ["with a NUL", (document) => document.replace(/>/, ">\0")],
  ["with a character reference to NUL", (document) => document.replace(/>/, ">&#0;")],
  ["with an unknown entity", (document) => document.replace(/>/, ">&nbsp;")],
  ["with an attribute twice", (document) => document.replace(">", ' a="1" a="2">')],
  ["JSON", () => '{"Status":"Enabled"}'],
  ["text", () => "hello"],
  ["white space", () => "   \n"],
  ["UTF-16", (document) => Buffer.from(`\ufeff${document}`, "utf16le")],
];

const bomb = ["a", "b", "c", "d", "e", "f", "g"]
  .map((name, index) => `<!ENTITY ${String.fromCharCode(name.charCodeAt(0) + 1)} "${`&${name};`.repeat(10)}">${index}`)
  .join("")
  .replace(/\d/g, "")
  .replace(/^/, '<!ENTITY a "lol">');

function dtd(declarations: string, use: string, document: string): string {
  return `<?xml version="1.0"?><!DOCTYPE root [${declarations}]>${document.replace(/>/, `>${use}`)}`;
}
