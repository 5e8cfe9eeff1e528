/**
 * The package as it is published: packed, installed into an empty project by npm, its examples run there, its command, its
 * types seen by a compiler that checks all of them, and what publint and attw say of it.
 */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot, someBytes, Workplace } from "../support/program.ts";

const minute = 60_000;
/** They are run once, here; what they bring with them is not for everybody who works on this to install. */
const tools = { publint: "publint@0.3.25", attw: "@arethetypeswrong/cli@0.18.5" };

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

let place: Workplace;
let project: string;
let packed: Packed;
let tarball: string;

async function npm(args: readonly string[], cwd: string): Promise<string> {
  return place.done(process.platform === "win32" ? "npm.cmd" : "npm", [...args], { cwd, timeoutMs: 5 * minute });
}

beforeAll(async () => {
  place = await Workplace.make();
  const [first] = JSON.parse(await npm(["pack", "--json", "--pack-destination", place.directory], projectRoot)) as [
    Packed,
  ];
  packed = first;
  tarball = path.join(place.directory, packed.filename);
  project = await place.folder("project");
  await mkdir(project, { recursive: true });
  await writeFile(
    path.join(project, "package.json"),
    JSON.stringify({ name: "somebody", private: true, type: "module" }),
  );
  const { devDependencies } = JSON.parse(await readFile(path.join(projectRoot, "package.json"), "utf8")) as {
    devDependencies: { readonly [name: string]: string };
  };
  const others = ["@aws-sdk/client-s3", "typescript", "@types/node"].map((name) => `${name}@${devDependencies[name]!}`);
  await npm(["install", "--no-audit", "--no-fund", tarball, ...others], project);
}, 10 * minute);

afterAll(async () => {
  await place.remove();
});

test("holds what is needed and nothing else", () => {
  const names = packed.files.map(({ path: name }) => name);
  expect(names).toEqual(expect.arrayContaining(["package.json", "README.md", "dist/index.js", "dist/index.d.ts"]));
  expect(names.filter((name) => /(\.test\.|\.contract\.|\.map$|^(src|tests|bench|sim|examples)\/)/.test(name))).toEqual(
    [],
  );
  expect(names.filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))).toEqual([]);
  expect(names.filter((name) => name.startsWith("dist/example/"))).toEqual([]);
  expect(packed.size).toBeLessThan(600_000);
});

test("its command runs", async () => {
  const { version } = JSON.parse(await readFile(path.join(projectRoot, "package.json"), "utf8")) as { version: string };
  expect(await npm(["exec", "--", "data-putter", "--version"], project)).toContain(version);
});

describe("its examples, in the project", () => {
  test("compile under a compiler that checks every declaration, and run", async () => {
    for (const name of ["store-and-read", "s3-in-tests"]) {
      await writeFile(
        path.join(project, `${name}.ts`),
        await readFile(path.join(projectRoot, "examples", `${name}.ts`)),
      );
    }
    const compilerOptions = {
      target: "es2023",
      lib: ["es2023"],
      module: "nodenext",
      types: ["node"],
      strict: true,
      // Of this package alone: others' declarations are others' concern.
      skipLibCheck: true,
    };
    await writeFile(path.join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    await npm(["exec", "--", "tsc"], project);
    const file = path.join(project, "some-file");
    await writeFile(file, someBytes(1_000_000, 7));
    const first = await place.done(process.execPath, ["store-and-read.js", file], { cwd: project });
    expect(first).toContain("1000000 bytes came back, every one verified: the same bytes");
    expect((await stat(path.join(project, "data", "data-putter.json"))).isFile()).toBe(true);
    const second = await place.done(process.execPath, ["s3-in-tests.js"], { cwd: project });
    expect(second).toMatch(/^(#|ℹ) pass 3$/m);
  });

  test("its own declarations hold by themselves", async () => {
    const declarations = packed.files.map(({ path: name }) => name).filter((name) => name.endsWith(".d.ts"));
    const files = declarations.map((name) => path.join(project, "node_modules", "data-putter", name));
    for (const file of files) expect(await readFile(file, "utf8")).not.toMatch(/from "\.[^"]*\.ts"|"lmdb"/);
    // All together, with no other library but Node's types: an import of what was not packed is an error.
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--types", "node"];
    await npm(["exec", "--", "tsc", "--ignoreConfig", ...options, ...files], project);
  });
});

test("CommonJS can require it", async () => {
  const script = `
    const { openStore, startServer, StoreError } = require("data-putter");
    startServer({ inMemory: true }).then((server) => server.close()).then(() => console.log(typeof openStore, StoreError.name));`;
  await writeFile(path.join(project, "old.cjs"), script);
  expect(await place.done(process.execPath, ["old.cjs"], { cwd: project })).toBe("function StoreError\n");
});

test("publint has nothing to say", async () => {
  const said = await npm(
    ["exec", "--yes", "--package", tools.publint, "--", "publint", "run", "--strict", tarball],
    project,
  );
  expect(said).toContain("All good!");
});

test("its types are right for every way of resolving them", async () => {
  // CommonJS gets an ES module: that is what Node's require does since 20.19 (the test above).
  const rules = ["--ignore-rules", "cjs-resolves-to-esm"];
  const said = await npm(
    ["exec", "--yes", "--package", tools.attw, "--", "attw", tarball, "--no-emoji", ...rules],
    project,
  );
  expect(said).toContain("No problems found");
});
