/**
 * The actions that bucket policies can name, by what they are about (docs.aws.amazon.com, "Actions, resources, and
 * condition keys for Amazon S3"). Those of things that this store does not have are known, and never asked for.
 */

const listed = `
  AbortMultipartUpload- BypassGovernanceRetention- CreateBucket DeleteBucket DeleteBucketOwnershipControls DeleteBucketPolicy
  DeleteBucketPublicAccessBlock DeleteBucketWebsite DeleteObject- DeleteObjectTagging- DeleteObjectVersion-
  DeleteObjectVersionTagging- GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAcl GetBucketCORS
  GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
  GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
  GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
  GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
  GetMetricsConfiguration GetObject- GetObjectAcl- GetObjectAttributes- GetObjectLegalHold- GetObjectRetention-
  GetObjectTagging- GetObjectTorrent- GetObjectVersion- GetObjectVersionAcl- GetObjectVersionAttributes-
  GetObjectVersionForReplication- GetObjectVersionTagging- GetObjectVersionTorrent- GetReplicationConfiguration
  InitiateReplication- ListBucket ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts-
  ObjectOwnerOverrideToBucketOwner- PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl PutBucketCORS
  PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
  PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
  PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
  PutMetricsConfiguration PutObject- PutObjectAcl- PutObjectLegalHold- PutObjectRetention- PutObjectTagging-
  PutObjectVersionAcl- PutObjectVersionTagging- PutReplicationConfiguration ReplicateDelete- ReplicateObject-
  ReplicateTags- RestoreObject-`;

/** Action in lower case → whether it is about objects. */
export const knownActions: ReadonlyMap<string, "bucket" | "object"> = new Map(
  listed
    .trim()
    .split(/\s+/)
    .map((name) => [`s3:${name.replace("-", "").toLowerCase()}`, name.endsWith("-") ? "object" : "bucket"]),
);

/** What a key that may only read may ask for. */
export function isReading(action: string): boolean {
  return action.startsWith("s3:Get") || action.startsWith("s3:List");
}
