/**
 * Asks the registry that npm is set up with for known vulnerabilities of what package-lock.json names.
 *
 *   node .ci/audit.mjs
 *
 * One that is high or critical, in what is installed with the product, ends with exit code 1; those of tools are only shown. Not every
 * registry (a mirror, say) answers such a question: that is said, and is no failure, for nobody here can change it.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

const cwd = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const failing = ["high", "critical"];

const product = audit("the product", ["--omit=dev"]);
audit("the product and its tools", []);
if (product > 0) process.exit(1);

/** How many of them must not be; 0 where nobody answers. */
function audit(what, args) {
  const patience = ["--fetch-retries=1", "--fetch-timeout=20000"];
  const { stdout, error } = spawnSync("npm", ["audit", "--json", ...patience, ...args], {
    cwd,
    encoding: "utf8",
    timeout: 90_000,
    maxBuffer: 64 * 1024 * 1024,
    // npm is a script there.
    shell: process.platform === "win32",
  });
  const report = parsed(stdout ?? "");
  if (report?.vulnerabilities === undefined) {
    const why = error?.message ?? report?.statusCode ?? report?.error?.code ?? "no report";
    process.stdout.write(`${what}: NOT AUDITED, the registry does not answer this question (${why})\n`);
    return 0;
  }
  const found = Object.values(report.vulnerabilities);
  process.stdout.write(`${what}: the registry knows of ${found.length} packages with vulnerabilities\n`);
  for (const { name, severity, range, via } of found) {
    const titles = via.map((one) => (typeof one === "string" ? `by ${one}` : `${one.title} ${one.url ?? ""}`));
    process.stdout.write(`  ${severity}: ${name} ${range}: ${titles.join("; ")}\n`);
  }
  return found.filter(({ severity }) => failing.includes(severity)).length;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
