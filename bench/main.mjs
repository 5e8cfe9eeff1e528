/**
 * The benchmarks: each figure beside its baseline, taken in turns in the same run on the same disk, medians of several.
 *
 *   node bench/main.mjs [--quick] [--only NAME]… [--runs N] [--dir DIR] [--json FILE] [--profile]
 */
import * as get from "./get.mjs";
import * as listing from "./listing.mjs";
import * as memory from "./memory.mjs";
import * as smallObjects from "./small-objects.mjs";
import * as startUp from "./start-up.mjs";
import * as streamIn from "./stream-in.mjs";
import { runBenchmarks } from "./support/command.mjs";
import * as tickets from "./tickets.mjs";

await runBenchmarks([streamIn, tickets, smallObjects, get, memory, startUp, listing], {
  title: "Measures the built product beside plain baselines.",
});
