import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "sim/**/*.test.ts", "tests/**/*.test.ts"],
    // What takes long is in vitest.long.config.ts: `npm test` stays under three minutes.
    exclude: ["tests/long/**", "tests/clients/**"],
    // What waits for something waits until then: on a machine that does other things too, seconds become a minute.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    setupFiles: ["tests/support/property-seed.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
