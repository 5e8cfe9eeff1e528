/** What a fresh clone's `npm ci` needs of package-lock.json. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const text = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, LockedPackage>> };

test("package-lock.json names no registry: npm asks the one that it is set up with", () => {
  expect(Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  expect(text).not.toMatch(/https?:\/\/[^"]*(registry|\.tgz)/);
});

test("every package is pinned by version and content", () => {
  const loose = Object.entries(packages).filter(([name, { version, integrity }]) => {
    return name !== "" && (version === undefined || integrity === undefined);
  });
  expect(loose).toEqual([]);
});

test("binaries for other systems are in it too, or npm ci refuses the whole file", () => {
  const missing = Object.entries(packages).flatMap(([from, { dependencies, optionalDependencies }]) => {
    const wanted = Object.keys({ ...dependencies, ...optionalDependencies });
    return wanted.filter((name) => !isFound(from, name)).map((name) => `${name}, wanted by ${from}`);
  });
  expect(missing).toEqual([]);
});

/** As Node looks for it: beside the package that wants it, then further up. */
function isFound(from: string, name: string): boolean {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    if (packages[`${at === "" ? "" : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === "") return false;
  }
}
