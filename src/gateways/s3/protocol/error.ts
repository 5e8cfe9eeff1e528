/**
 * Errors as S3 tells them (docs.aws.amazon.com, "Error responses"): a code, an HTTP status, a message, and some codes
 * with elements of their own. This and what renders it are the only places that know statuses.
 */
import { StoreError } from "../../../core/errors.ts";

/** Code → status and the message that is said where the thrower gives none. */
const table = {
  AccessControlListNotSupported: [400, "The bucket does not allow ACLs"],
  AccessDenied: [403, "Access Denied"],
  AccessForbidden: [403, "This CORS request is not allowed."],
  AccountProblem: [403, "There is a problem with your account."],
  AuthorizationHeaderMalformed: [400, "The authorization header that you provided is not valid."],
  AuthorizationQueryParametersError: [400, "The authorization query parameters that you provided are not valid."],
  BadDigest: [400, "The Content-MD5 or checksum value that you specified did not match what the server received."],
  BadRequest: [400, "Bad Request"],
  BucketAlreadyExists: [
    409,
    "The requested bucket name is not available. Please select a different name and try again.",
  ],
  BucketAlreadyOwnedByYou: [409, "Your previous request to create the named bucket succeeded and you already own it."],
  BucketNotEmpty: [409, "The bucket you tried to delete is not empty."],
  ConditionalRequestConflict: [409, "The conditional request cannot succeed due to a conflicting operation."],
  EntityTooLarge: [400, "Your proposed upload exceeds the maximum allowed object size."],
  EntityTooSmall: [400, "Your proposed upload is smaller than the minimum allowed object size."],
  ExpiredToken: [400, "The provided token has expired."],
  IllegalVersioningConfigurationException: [400, "The versioning configuration specified in the request is invalid."],
  IncompleteBody: [400, "The request body terminated unexpectedly."],
  // Not AWS's, which is never full. Clients give up at a 507 (they would send it all again after a 503), and say why.
  InsufficientStorage: [507, "The store has no room for this until something is removed or its disk is enlarged."],
  InternalError: [500, "We encountered an internal error. Please try again."],
  InvalidAccessKeyId: [403, "The AWS access key ID that you provided does not exist in our records."],
  InvalidArgument: [400, "Invalid Argument"],
  InvalidBucketAclWithObjectOwnership: [
    400,
    "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
  ],
  InvalidBucketName: [400, "The specified bucket is not valid."],
  InvalidBucketOwnerAWSAccountID: [400, "The value of the expected bucket owner parameter must be an AWS account ID."],
  InvalidBucketState: [409, "The request is not valid for the current state of the bucket."],
  InvalidDigest: [400, "The Content-MD5 or checksum value that you specified is not valid."],
  InvalidEncryptionAlgorithmError: [
    400,
    "The encryption request that you specified is not valid. The valid value is AES256.",
  ],
  InvalidLocationConstraint: [400, "The specified location constraint is not valid."],
  InvalidObjectState: [403, "The operation is not valid for the current state of the object."],
  InvalidPart: [
    400,
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
  ],
  InvalidPartOrder: [
    400,
    "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
  ],
  InvalidPolicyDocument: [
    400,
    "The content of the form does not meet the conditions specified in the policy document.",
  ],
  InvalidRange: [416, "The requested range is not satisfiable"],
  InvalidRequest: [400, "The request is not valid."],
  InvalidRetentionPeriod: [400, "The retention period specified must be a positive integer value."],
  InvalidStorageClass: [400, "The storage class you specified is not valid"],
  InvalidTag: [400, "The tag provided was not a valid tag."],
  InvalidToken: [400, "The provided token is malformed or otherwise not valid."],
  InvalidURI: [400, "The specified URI couldn't be parsed."],
  KeyTooLongError: [400, "Your key is too long"],
  "KMS.NotFoundException": [400, "The specified KMS key does not exist."],
  MalformedACLError: [
    400,
    "The ACL that you provided was not well formed or did not validate against our published schema.",
  ],
  MalformedPOSTRequest: [400, "The body of your POST request is not well-formed multipart/form-data."],
  MalformedTrailerError: [
    400,
    "The request contained trailing data that was not well-formed or did not conform to our published schema.",
  ],
  MalformedPolicy: [400, "This policy contains invalid Json"],
  MalformedXML: [400, "The XML you provided was not well-formed or did not validate against our published schema"],
  MaxMessageLengthExceeded: [400, "Your request was too large."],
  MaxPostPreDataLengthExceeded: [400, "Your POST request fields preceding the upload file were too large."],
  MetadataTooLarge: [400, "Your metadata headers exceed the maximum allowed metadata size."],
  MethodNotAllowed: [405, "The specified method is not allowed against this resource."],
  MissingContentLength: [411, "You must provide the Content-Length HTTP header."],
  MissingFields: [400, "Missing fields in request."],
  MissingRequestBodyError: [400, "Request Body is empty"],
  MissingSecurityHeader: [400, "Your request was missing a required header"],
  NoLoggingStatusForKey: [400, "There is no such thing as a logging status subresource for a key."],
  NoSuchBucket: [404, "The specified bucket does not exist"],
  NoSuchBucketPolicy: [404, "The bucket policy does not exist"],
  NoSuchConfiguration: [404, "The specified configuration does not exist."],
  NoSuchCORSConfiguration: [404, "The CORS configuration does not exist"],
  NoSuchKey: [404, "The specified key does not exist."],
  NoSuchLifecycleConfiguration: [404, "The lifecycle configuration does not exist"],
  NoSuchObjectLockConfiguration: [404, "The specified object does not have a ObjectLock configuration"],
  NoSuchPublicAccessBlockConfiguration: [404, "The public access block configuration was not found"],
  NoSuchTagSet: [404, "The TagSet does not exist"],
  NoSuchUpload: [
    404,
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
  ],
  NoSuchVersion: [404, "The specified version does not exist."],
  NoSuchWebsiteConfiguration: [404, "The specified bucket does not have a website configuration"],
  NotImplemented: [501, "A header or parameter that you provided implies functionality that is not implemented."],
  NotModified: [304, "Not Modified"],
  ObjectLockConfigurationNotFoundError: [404, "Object Lock configuration does not exist for this bucket"],
  OperationAborted: [
    409,
    "A conflicting conditional operation is currently in progress against this resource. Please try again.",
  ],
  OwnershipControlsNotFoundError: [404, "The bucket ownership controls were not found"],
  PreconditionFailed: [412, "At least one of the pre-conditions you specified did not hold"],
  ReplicationConfigurationNotFoundError: [404, "The replication configuration was not found"],
  RequestHeaderSectionTooLarge: [400, "Your request header section exceeds the maximum allowed request header size."],
  RequestTimeout: [
    400,
    "Your socket connection to the server was not read from or written to within the timeout period.",
  ],
  RequestTimeTooSkewed: [403, "The difference between the request time and the server's time is too large."],
  ServerSideEncryptionConfigurationNotFoundError: [404, "The server side encryption configuration was not found"],
  ServiceUnavailable: [503, "Service is unable to handle request."],
  SignatureDoesNotMatch: [
    403,
    "The request signature that we calculated does not match the signature that you provided. Check your secret access key and signing method.",
  ],
  SlowDown: [503, "Please reduce your request rate."],
  TooManyBuckets: [400, "You have attempted to create more buckets than are allowed."],
  UnexpectedContent: [400, "This request does not support content."],
  UnresolvableGrantByEmailAddress: [400, "The e-mail address that you provided does not match any account on record."],
  UnsupportedSignature: [
    400,
    "The provided request is signed with an unsupported STS Token version or the signature version is not supported.",
  ],
  XAmzContentSHA256Mismatch: [400, "The provided 'x-amz-content-sha256' header does not match what was computed."],
} as const satisfies Record<string, readonly [number, string]>;

export type S3Code = keyof typeof table;

export interface S3ErrorDetails {
  /** Elements beside Code and Message, in order: `Resource` and `RequestId` are added by who renders. */
  readonly elements?: { readonly [name: string]: string };
  readonly headers?: { readonly [name: string]: string };
  /** Where a code comes with a status other than its usual one. */
  readonly status?: number;
  readonly cause?: unknown;
  /** The log has it already, with more than is known where it ends up. */
  readonly isTold?: boolean;
}

export class S3Error extends Error {
  readonly code: S3Code;
  readonly status: number;
  readonly elements: { readonly [name: string]: string };
  readonly headers: { readonly [name: string]: string };
  readonly isTold: boolean;

  constructor(code: S3Code, message?: string, details: S3ErrorDetails = {}) {
    super(message ?? table[code][1], details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "S3Error";
    this.code = code;
    this.status = details.status ?? table[code][0];
    this.elements = details.elements ?? {};
    this.headers = details.headers ?? {};
    this.isTold = details.isTold ?? false;
  }
}

/** 400 InvalidArgument with the name and value that S3 adds. */
export function invalidArgument(name: string, value: string, message: string): S3Error {
  return new S3Error("InvalidArgument", message, { elements: { ArgumentName: name, ArgumentValue: value } });
}

/** What the store says, in S3's words. Handlers translate what means something special to them before. */
export function s3ErrorOf(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (!(error instanceof StoreError)) return new S3Error("InternalError", undefined, { cause: error });
  const cause = error;
  switch (error.code) {
    case "INVALID":
      return new S3Error("InvalidArgument", error.message, { cause });
    case "NOT_FOUND":
      return new S3Error(error.message.startsWith("bucket ") ? "NoSuchBucket" : "NoSuchKey", undefined, { cause });
    case "CONFLICT":
      return new S3Error("OperationAborted", undefined, { cause });
    case "ABORTED":
      return new S3Error("IncompleteBody", undefined, { cause });
    case "BUSY":
      return new S3Error("SlowDown", undefined, { cause, headers: { "Retry-After": "1" } });
    case "NO_SPACE":
      return new S3Error("InsufficientStorage", undefined, { cause });
    case "UNAVAILABLE":
      return new S3Error("ServiceUnavailable", undefined, { cause });
    case "DAMAGED":
      // Where in the store is for its log, not for clients.
      return new S3Error("InternalError", "What is stored is damaged; it is not handed out.", { cause });
    case "INCOMPATIBLE":
    case "PROTOCOL":
    case "WRONG_KEY":
      return new S3Error("InternalError", undefined, { cause });
  }
  // A code that this does not know yet.
  return new S3Error("InternalError", undefined, { cause });
}
