/**
 * Makes a fresh clone ready: installs what package-lock.json names and builds, each only when something changed since
 * the last time. Called by `npm start`, `npm test` and `npm run bench`.
 */
import { execFileSync, execSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`data-putter needs Node.js 20.19 or newer; this is ${process.version}`);
  process.exit(1);
}

const stampPath = path.join(root, "node_modules", ".data-putter-setup");
const stamps = existsSync(stampPath) ? JSON.parse(readFileSync(stampPath, "utf8")) : {};

const installed = hashOf(["package.json", "package-lock.json"]) + process.versions.modules;
if (stamps.installed !== installed) {
  console.error("data-putter: installing dependencies (first start, or they changed)");
  // npm's own summary would mix with the output of the command that was asked for.
  execSync("npm ci --no-audit --no-fund --loglevel=error", {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  stamps.built = undefined;
}

const sources = ["src", "kernel", "scripts"].flatMap((folder) => filesBelow(folder)).filter(isSource);
const built = hashOf(["package-lock.json", "tsconfig.json", "tsconfig.build.json", ...sources]);
if (stamps.built !== built || !existsSync(path.join(root, "dist/cli/main.js"))) {
  console.error("data-putter: building");
  execFileSync(process.execPath, [path.join(root, "scripts/build.mjs")], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
}
writeFileSync(stampPath, JSON.stringify({ installed, built }));

function isSource(file) {
  return !file.endsWith(".test.ts") && !file.endsWith("kernel-binary.ts");
}

function filesBelow(folder) {
  return readdirSync(path.join(root, folder))
    .toSorted()
    .flatMap((name) => {
      const below = `${folder}/${name}`;
      return statSync(path.join(root, below)).isDirectory() ? filesBelow(below) : [below];
    });
}

function hashOf(files) {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(path.join(root, file)));
  return hash.digest("hex");
}
