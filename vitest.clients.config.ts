/** Sessions of real S3 clients, those of this machine, against the built program: `npm run test:clients`. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/clients/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
