/** An import points only inwards (DESIGN, section 9), and time, chance, files and sockets come in through `env`. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const sources = fileURLToPath(new URL("../src/", import.meta.url));

/** What each layer may import, itself included. */
const table: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  env: ["core", "env"],
  volume: ["core", "env", "volume"],
  wire: ["core", "env", "wire"],
  datastore: ["core", "env", "datastore"],
  putter: ["core", "env", "volume", "wire", "datastore", "putter"],
  router: ["core", "env", "volume", "wire", "datastore", "router"],
  gateways: ["core", "env", "datastore", "router", "gateways"],
  compose: ["core", "env", "volume", "wire", "datastore", "putter", "router", "gateways", "compose"],
  cli: ["core", "env", "volume", "wire", "datastore", "putter", "router", "gateways", "compose", "cli"],
  library: ["core", "env", "volume", "wire", "datastore", "putter", "router", "gateways", "compose", "library"],
};

interface Source {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const found = filesBelow(sources).map(read);

test.each(Object.keys(table))("%s imports only what lies inside it", (layer) => {
  const allowed = table[layer]!;
  const own = found.filter((source) => source.layer === layer);
  expect(own.length).toBeGreaterThan(0);
  const wrong = own.flatMap(({ path, imports }) =>
    imports
      .filter((target) => target.startsWith("."))
      .map((target) => new URL(target, `file:///${path}`).pathname.slice(1))
      .filter((target) => target.includes("/") && !allowed.includes(target.split("/")[0]!))
      .map((target) => `${path} -> ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("every folder of src is a layer of the table", () => {
  const layers = new Set(found.map(({ layer }) => layer).filter((layer) => layer !== ""));
  expect([...layers].sort()).toEqual(Object.keys(table).sort());
});

describe("inside the layers that are functions of a Host", () => {
  const inner = found.filter(({ layer }) => !["env", "cli", "library", ""].includes(layer));
  const modules = /^(node:)?(fs|net|http|https|dgram|timers|os|child_process|worker_threads|process|perf_hooks)(\/|$)/;

  test("no system module is imported", () => {
    const wrong = inner.flatMap(({ path, imports }) =>
      imports.filter((target) => modules.test(target)).map((target) => `${path} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test("no timer, date, chance or process is used", () => {
    const names =
      /(?<![-.#\w"'`])(setTimeout|setInterval|setImmediate|performance|process|fetch)\s*[.(]|Date\.now|new Date\(\)|Math\.random/;
    const wrong = inner.flatMap(({ path, text }) =>
      withoutComments(text)
        .split("\n")
        .map((line, index) => ({ line, where: `${path}:${index + 1}` }))
        .filter(({ line }) => names.test(line))
        .map(({ line, where }) => `${where} ${line.trim()}`),
    );
    expect(wrong).toEqual([]);
  });

  test("no module keeps state of its own", () => {
    const wrong = inner.flatMap(({ path, text }) =>
      [...withoutComments(text).matchAll(/^(?:export )?let \w+/gm)].map(([line]) => `${path} ${line}`),
    );
    expect(wrong).toEqual([]);
  });
});

test("the check would notice an import that points outwards", () => {
  const imports = importsOf('import { a } from "../router/router.ts";\nexport { b } from "../cli/main.ts";');
  expect(imports).toEqual(["../router/router.ts", "../cli/main.ts"]);
  expect(importsOf('const { openRedis } = await import("../datastore/redis.ts");')).toEqual(["../datastore/redis.ts"]);
  expect(importsOf('import type {\n  A,\n  B,\n} from "../wire/message.ts";')).toEqual(["../wire/message.ts"]);
  expect(importsOf('import "./side-effect.ts";')).toEqual(["./side-effect.ts"]);
});

function filesBelow(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, encoding: "utf8" });
  // Tests and contracts lie beside their subject and may use what lies outside it.
  return entries.filter((path) => path.endsWith(".ts") && !/\.(test|contract)\.ts$/.test(path));
}

function read(path: string): Source {
  const plain = path.replaceAll("\\", "/");
  const text = readFileSync(`${sources}${path}`, "utf8");
  return { path: plain, layer: plain.includes("/") ? plain.split("/")[0]! : "", text, imports: importsOf(text) };
}

function importsOf(text: string): string[] {
  const statements = withoutComments(text).matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^import\s+)["']([^"']+)["']/gm);
  return [...statements].map((match) => match[1]!);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, "")).replace(/(?<!:)\/\/.*$/gm, "");
}
