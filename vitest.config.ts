import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "sim/**/*.test.ts", "tests/**/*.test.ts"],
    // What takes long is in vitest.long.config.ts: `npm test` stays under three minutes.
    exclude: ["tests/long/**", "tests/clients/**"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    setupFiles: ["tests/support/property-seed.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
