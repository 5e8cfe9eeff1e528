/**
 * The contract of a Datastore, as facts that every implementation passes. The subjects are in the files beside this one.
 */
import { describe } from "vitest";
import type { OpenFixture } from "./fixture.contract.ts";
import { bucketFacts } from "./buckets.contract.ts";
import { concurrencyFacts } from "./concurrency.contract.ts";
import { leaseFacts } from "./leases.contract.ts";
import { listingFacts } from "./listing.contract.ts";
import { modelFacts } from "./model.contract.ts";
import { objectFacts } from "./objects.contract.ts";
import { registryFacts } from "./registries.contract.ts";
import { uploadFacts } from "./uploads.contract.ts";
import { versionFacts } from "./versions.contract.ts";

export function datastoreContract(name: string, open: OpenFixture): void {
  describe(`${name} datastore`, () => {
    describe("leases and volumes", () => {
      leaseFacts(open);
    });
    describe("buckets", () => {
      bucketFacts(open);
    });
    describe("objects", () => {
      objectFacts(open);
    });
    describe("versions", () => {
      versionFacts(open);
    });
    describe("uploads", () => {
      uploadFacts(open);
    });
    describe("listings", () => {
      listingFacts(open);
    });
    describe("records of gateways", () => {
      registryFacts(open);
    });
    describe("operations at the same moment", () => {
      concurrencyFacts(open);
    });
    describe("any sequence of operations", () => {
      modelFacts(open);
    });
  });
}
