/** Whether a version may be removed for good (docs.aws.amazon.com, "How S3 Object Lock works"). */
import type { VersionAttributes } from "../model.ts";
import { S3Error } from "../protocol/error.ts";

export interface Remover {
  readonly now: number;
  /** Asks for it (x-amz-bypass-governance-retention) and may (s3:BypassGovernanceRetention). */
  readonly bypassesGovernance: boolean;
}

/** AccessDenied where a legal hold or a retention that lasts protects it. */
export function mayDelete({ attributes }: { readonly attributes: VersionAttributes }, remover: Remover): void {
  if (attributes.hold === true || isRetained(attributes, remover)) {
    throw new S3Error("AccessDenied", "Access Denied because object protected by object lock.");
  }
}

function isRetained({ retention }: VersionAttributes, { now, bypassesGovernance }: Remover): boolean {
  if (retention === undefined || retention.until <= now) return false;
  return retention.mode === "COMPLIANCE" || !bypassesGovernance;
}
