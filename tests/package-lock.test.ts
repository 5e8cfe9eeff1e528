/** What a fresh clone's `npm ci` needs of package-lock.json, and what may be in it: pinned, whole, no scripts but known ones, free licences. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly deprecated?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly engines?: Readonly<Record<string, string>>;
}

const text = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, LockedPackage>> };
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as LockedPackage & {
  readonly overrides: Readonly<Record<string, string>>;
};
const root = packages[""]!;
const others = Object.entries(packages).filter(([name]) => name !== "");
/** What is installed with the product, for any system. */
const shipped = others.filter(([, { dev }]) => dev !== true);

test("package-lock.json names no registry: npm asks the one that it is set up with", () => {
  expect(others.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  expect(text).not.toMatch(/https?:\/\/[^"]*(registry|\.tgz)/);
});

test("package.json asks for exact versions, and the lock file has these", () => {
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies };
  expect(Object.keys(wanted).length).toBeGreaterThan(10);
  const exact = /^\d+\.\d+\.\d+(-[\w.]+)?$/;
  expect(Object.entries({ ...wanted, ...manifest.overrides }).filter(([, version]) => !exact.test(version))).toEqual(
    [],
  );
  const locked = Object.keys(wanted).map((name) => [name, packages[`node_modules/${name}`]?.version]);
  expect(Object.fromEntries(locked)).toEqual(wanted);
  for (const field of ["dependencies", "devDependencies", "engines"] as const) {
    expect(root[field]).toEqual(manifest[field]);
  }
});

test("every package is pinned by version and content", () => {
  const loose = others.filter(([, { version, integrity }]) => {
    return !/^\d+\.\d+\.\d+/.test(version ?? "") || !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? "");
  });
  expect(loose).toEqual([]);
});

test("no package runs a script when it is installed but these two, which look for a built binary of theirs", () => {
  const scripted = others.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([name]) => name);
  expect(scripted).toEqual(["node_modules/lmdb", "node_modules/msgpackr-extract"]);
});

test("what is installed with the product has a licence that asks for no more than its notice, and is not given up", () => {
  const free = ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD"];
  expect(shipped.length).toBeGreaterThan(30);
  expect(shipped.filter(([, { license }]) => !free.includes(license ?? "none"))).toEqual([]);
  expect(shipped.filter(([, { deprecated }]) => deprecated !== undefined)).toEqual([]);
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
