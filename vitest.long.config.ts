/** Tests that take long or need the network: `npm run test:long`, which CI runs after `npm test`. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/long/**/*.test.ts", "tests/fuzz-*.test.ts"],
    // The fuzzers of `npm test`, for longer.
    env: { FUZZ_SECONDS: process.env["FUZZ_SECONDS"] ?? "12" },
    testTimeout: 600_000,
    hookTimeout: 600_000,
    setupFiles: ["tests/support/property-seed.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
