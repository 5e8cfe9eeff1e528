/**
 * Properties and fuzzers try the same cases at each run, so that a change is judged by what it changed. FUZZ_SEED=n tries others, FUZZ_SEED=random
 * such as nobody tried before (fast-check prints the seed of what fails).
 */
import fc from "fast-check";

const given = process.env["FUZZ_SEED"] ?? "1";
if (given !== "random") fc.configureGlobal({ seed: Number(given) });
