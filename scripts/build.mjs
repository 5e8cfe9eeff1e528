/**
 * The build: the AssemblyScript kernel to WebAssembly (as a base64 constant, so that nothing has to be found on disk
 * at run time), then TypeScript to dist/.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(root, "node_modules");

function run(stdio, script, ...args) {
  execFileSync(process.execPath, [path.join(modules, script), ...args], { cwd: root, stdio });
}

/** In declarations, the compiler leaves the names of sources as they are; who installs the package has only what was built. */
function nameCompiled(file) {
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace(/(\bfrom |\bimport\()"(\.{1,2}\/[^"]+)\.ts"/g, '$1"$2.js"'));
}

const scratch = mkdtempSync(path.join(tmpdir(), "data-putter-build-"));
try {
  const wasm = path.join(scratch, "kernel.wasm");
  const flags = ["--runtime", "stub", "--importMemory", "--enable", "simd", "-O3", "--converge", "--noAssert"];
  // It remarks on its optimizer even when all is well; what it says of a failure is part of the error.
  run(["ignore", "ignore", "pipe"], "assemblyscript/bin/asc.js", "kernel/kernel.ts", "-o", wasm, ...flags);
  const text = readFileSync(wasm).toString("base64");
  writeFileSync(
    path.join(root, "src/core/kernel-binary.ts"),
    `/** Built from kernel/kernel.ts by scripts/build.mjs. */\nexport const kernelBinary =\n  "${text}";\n`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// Built aside, so that what runs from dist/ does not find it half empty.
const fresh = path.join(root, `dist.${process.pid}`);
const target = path.join(root, "dist");
try {
  run("inherit", "typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", fresh);
  for (const name of readdirSync(fresh, { recursive: true })) {
    if (name.endsWith(".d.ts")) nameCompiled(path.join(fresh, name));
  }
  rmSync(`${fresh}.old`, { recursive: true, force: true });
  if (existsSync(target)) renameSync(target, `${fresh}.old`);
  renameSync(fresh, target);
} finally {
  rmSync(fresh, { recursive: true, force: true });
  rmSync(`${fresh}.old`, { recursive: true, force: true });
}
