/**
 * The benchmarks of the S3 gateway, with s3rver, nginx and plain digests beside it in the same run.
 *
 *   node bench/s3.mjs [--quick] [--only NAME]… [--runs N] [--dir DIR] [--json FILE] [--profile]
 */
import * as deleting from "./s3/delete.mjs";
import * as largeObjects from "./s3/large-objects.mjs";
import * as list from "./s3/list.mjs";
import * as smallObjects from "./s3/small-objects.mjs";
import * as workers from "./s3/workers.mjs";
import { runBenchmarks } from "./support/command.mjs";

await runBenchmarks([smallObjects, largeObjects, list, deleting, workers], {
  title: "Measures the S3 gateway beside s3rver, nginx and plain digests.",
  note: [
    "The load comes from a process of its own, which shares the cores with the server: requests are signed before the",
    "clock starts, and processor time is the server's alone (all its threads and processes, user and system).",
    "What an answer promises: the gateway, that the object is on disk; s3rver and nginx, nothing (no sync).",
  ].join("\n"),
});
