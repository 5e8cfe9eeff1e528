/**
 * Prints `passed failed skipped` of a run of tests: what its JSON report says, checked against how the runner ended.
 *
 *   node .ci/count-tests.mjs REPORT EXIT-STATUS
 */
import { existsSync, readFileSync } from "node:fs";

const [report, status] = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };
if (existsSync(report)) {
  for (const { status: fileStatus, assertionResults } of JSON.parse(readFileSync(report, "utf8")).testResults) {
    for (const { status: testStatus } of assertionResults) {
      if (testStatus === "passed" || testStatus === "failed") counts[testStatus]++;
      else counts.skipped++;
    }
    // A file that could not be loaded, or whose hooks failed, has no failed test.
    const hasFailed = assertionResults.some((result) => result.status === "failed");
    if (fileStatus === "failed" && !hasFailed) counts.failed++;
  }
}
// No report, no tests, or an error outside of every test: something is wrong that no test tells.
if (counts.failed === 0 && (status !== "0" || counts.passed === 0)) counts.failed++;
process.stdout.write(`${counts.passed} ${counts.failed} ${counts.skipped}\n`);
