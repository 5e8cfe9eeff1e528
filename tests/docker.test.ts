/**
 * No container engine runs where these tests do. So the Dockerfile and the compose files are taken at their word: what
 * they name must exist, and the commands that they would run are run outside, with `/data`, host names and ports
 * replaced, against a real redis-server. tests/long/docker-build.test.ts goes through the build's steps.
 */
import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { copiesOf, type Dockerfile, isIgnored, parseDockerfile, runsOf, type Stage } from "./support/dockerfile.ts";
import { freePort, projectRoot, type Service, someBytes, Workplace } from "./support/program.ts";
import { hasRedisServer } from "./support/redis-server.ts";

let place: Workplace;
let dockerfile: Dockerfile;
let image: Stage;
const bytes = someBytes(100_000, 1);

beforeAll(async () => {
  place = await Workplace.make();
  await writeFile(path.join(place.directory, "file"), bytes);
  dockerfile = parseDockerfile(await readFile(path.join(projectRoot, "Dockerfile"), "utf8"));
  image = dockerfile.stages.at(-1)!;
});

afterAll(async () => {
  await place.remove();
});

describe("Dockerfile", () => {
  test("everything that is copied into the image exists and is not ignored", async () => {
    const ignore = await readFile(path.join(projectRoot, ".dockerignore"), "utf8");
    const sources = dockerfile.stages.flatMap((stage) => copiesOf(stage).filter(({ from }) => from === undefined));
    expect(sources.length).toBeGreaterThan(0);
    for (const { sources: names } of sources) {
      for (const name of names) {
        expect(existsSync(path.join(projectRoot, name)), name).toBe(true);
        expect(isIgnored(ignore, name), `${name} is ignored`).toBe(false);
      }
    }
  });

  test("keys, data and what was built outside never reach the image", async () => {
    const ignore = await readFile(path.join(projectRoot, ".dockerignore"), "utf8");
    const secrets = ["data/key", "key", ".env", ".git/config", "node_modules/lmdb/package.json", "dist/cli/main.js"];
    for (const name of secrets) expect(isIgnored(ignore, name), name).toBe(true);
    expect(isIgnored(ignore, "src/core/core.test.ts")).toBe(true);
  });

  test("the image has only production dependencies, from a stage of their own", () => {
    const modules = copiesOf(image).find(({ sources }) => sources.some((name) => name.endsWith("node_modules")));
    const stage = dockerfile.stages.find(({ name }) => name === modules?.from);
    expect(stage && runsOf(stage)).toEqual(["npm ci --omit=dev"]);
    expect(runsOf(image).filter((line) => line.includes("npm"))).toEqual([]);
  });

  test("it runs as an ordinary user, whose data directory is a volume, on the documented ports", () => {
    expect(image.user).toBe("node");
    expect(image.volumes).toEqual(["/data"]);
    expect(image.exposed).toEqual(["9000", "5001", "5002"]);
    expect(image.workdir).toBe("/data");
    expect(runsOf(image).join("\n")).toContain("chown node:node /data");
    // Docker stops by SIGKILL after its patience; the program needs 10 s at most (limits.drainTimeoutMs).
    expect(image.stopSignal).toBe("SIGTERM");
  });

  test("the base image is small, and the same in all stages", () => {
    expect(new Set(dockerfile.stages.map(({ base }) => base))).toEqual(new Set(["node:22-bookworm-slim"]));
  });

  describe("what the container runs, run outside", () => {
    let port: string;
    let s3Port: number;
    let env: Record<string, string>;
    let root: string;

    beforeAll(async () => {
      port = String(await freePort());
      s3Port = await freePort();
      env = { DATA_PUTTER_PORT: port, DATA_PUTTER_RESPONSE_PORT: String(await freePort()), ...s3Settings(s3Port) };
      root = await place.folder("data");
    });

    const startImage = (): Promise<Service> => {
      const [program, ...args] = outside([...image.entrypoint, ...image.command], [["/data", root]]);
      return place.start(program!, args, { cwd: root, env, ready: /key fingerprint/ });
    };
    const healthcheck = async (): Promise<number | null> => {
      const [program, ...args] = image.healthcheck;
      return (await place.run(program!, args, { cwd: root, env })).code;
    };

    test("an object that was stored is there after the container was killed and started again", async () => {
      const first = await startImage();
      const object = await put(env);
      await first.kill();
      const second = await startImage();
      expect(await get(object, root, env)).toEqual(bytes);
      expect(await second.stop()).toBe(0);
    });

    test("S3 is served, to the access key that was given", async () => {
      const service = await startImage();
      expect(await putAndGetByS3(s3Port)).toEqual(bytes);
      expect(await service.stop()).toBe(0);
    });

    test("the healthcheck is well while it runs, stores nothing, and is ill when it has ended", async () => {
      const service = await startImage();
      const before = await list(root, env);
      expect(await healthcheck()).toBe(0);
      expect(await healthcheck()).toBe(0);
      expect(await list(root, env)).toEqual(before);
      await service.stop();
      expect(await healthcheck()).not.toBe(0);
    });

    test("REDIS_HOSTPORT that is no address stops the start with the variable's name", async () => {
      const [program, ...args] = outside([...image.entrypoint, ...image.command], [["/data", root]]);
      const outcome = await place.run(program!, args, { cwd: root, env: { ...env, REDIS_HOSTPORT: "nonsense" } });
      expect(outcome.code).toBe(2);
      expect(outcome.stderr).toContain("REDIS_HOSTPORT");
    });
  });
});

describe("the scripts", () => {
  let stubs: string;

  beforeAll(async () => {
    stubs = await place.folder("stubs");
    const stub = path.join(stubs, "docker");
    await writeFile(stub, `#!/bin/sh\npwd\nfor argument; do printf '%s\\n' "$argument"; done\n`);
    await chmod(stub, 0o755);
  });

  /** The folder that `docker` was called in, and its arguments. */
  async function called(script: string, ...args: string[]): Promise<string[]> {
    const env = { PATH: `${stubs}${path.delimiter}${process.env["PATH"] ?? ""}` };
    const stdout = await place.done(path.join(projectRoot, script), args, { cwd: place.directory, env });
    return stdout.trimEnd().split("\n");
  }

  test("build-docker.sh builds the image data-putter from the project's folder, wherever it is called", async () => {
    expect(await called("build-docker.sh", "--pull")).toEqual([
      projectRoot,
      "build",
      "--tag",
      "data-putter",
      "--pull",
      ".",
    ]);
  });

  test("run-in-docker.sh publishes the exposed ports to this machine only, and keeps the data in a volume", async () => {
    const [, ...args] = await called("run-in-docker.sh", "router", "--root", "/data");
    for (const port of image.exposed) expect(args).toContain(`127.0.0.1:${port}:${port}`);
    expect(args).toContain(`data-putter:${image.volumes[0]}`);
    for (const variable of ["REDIS_HOSTPORT", "DATA_PUTTER_ACCESS_KEY", "DATA_PUTTER_SECRET_KEY"]) {
      expect(args).toContain(variable);
    }
    expect(args.slice(-4)).toEqual(["data-putter", "router", "--root", "/data"]);
  });

  test.each(["build-docker", "run-in-docker"])(
    "%s.bat calls docker with the same words as the shell script",
    async (name) => {
      const batch = await readFile(path.join(projectRoot, `${name}.bat`), "utf8");
      expect(batch.replaceAll("\r\n", "").includes("\n"), "lines end in CR LF, as cmd.exe wants them").toBe(false);
      const line = /^docker .*/m.exec(batch.replaceAll(" ^\r\n ", ""))![0].trim();
      const [, ...args] = await called(`${name}.sh`);
      const words = line.split(/\s+/).filter((word) => word !== "%*" && word !== "--tty");
      expect(words).toEqual(["docker", ...args]);
    },
  );
});

interface ComposeService {
  readonly image: string;
  readonly command: readonly string[];
  /** Null: handed on, if it is set. */
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, null>>;
}

describe.each(["compose.yaml", "compose.cluster.yaml"])("%s", (name) => {
  let compose: Compose;

  beforeAll(async () => {
    compose = parse(await readFile(path.join(projectRoot, name), "utf8"), { merge: true }) as Compose;
  });

  test("volumes and services that are referred to are declared", () => {
    for (const [service, { volumes = [], depends_on: dependencies = {} }] of Object.entries(compose.services)) {
      for (const volume of volumes) expect(Object.keys(compose.volumes), service).toContain(volume.split(":")[0]);
      for (const [other, { condition }] of Object.entries(dependencies)) {
        expect(Object.keys(compose.services), service).toContain(other);
        const healthy = compose.services[other]!.healthcheck !== undefined;
        expect(condition === "service_healthy" && healthy, `${service} waits for ${other}`).toBe(true);
      }
    }
  });

  test("every service keeps what it stores in a volume of its own", () => {
    const volumes = Object.values(compose.services).map((service) => service.volumes?.[0]);
    expect(volumes.every((volume) => volume?.endsWith(":/data"))).toBe(true);
    expect(new Set(volumes).size).toBe(volumes.length);
  });

  test("Redis syncs every commit and throws nothing out", () => {
    const command = compose.services["redis"]!.command.join(" ");
    expect(command).toContain("--appendonly yes");
    expect(command).toContain("--appendfsync always");
    expect(command).toContain("--maxmemory-policy noeviction");
  });

  test("ports are published to this machine only, the image's ports and no others", () => {
    const published = Object.values(compose.services).flatMap(({ ports = [] }) => ports);
    expect(published).toEqual(image.exposed.map((port) => `127.0.0.1:${port}:${port}`));
  });

  describe.skipIf(!hasRedisServer())("its commands, run outside", () => {
    let services: Running;

    beforeAll(async () => {
      services = await startAll(name, compose);
    });

    test("an object that was stored is there after everything was killed and started again", async () => {
      const { env, root } = services;
      const object = await put(env);
      expect(await get(object, root, env)).toEqual(bytes);
      await Promise.all(Object.values(services.byName).map((service) => service.kill()));
      services = await startAll(name, compose, services);
      expect(await get(object, root, env)).toEqual(bytes);
      await place.done("data-putter", ["verify"], { cwd: root, env });
    });

    test("S3 is served, to the access key that was given", async () => {
      expect(await putAndGetByS3(services.ports["s3"]!)).toEqual(bytes);
    });

    test("metadata is in Redis, at the address that REDIS_HOSTPORT names", () => {
      expect(services.byName["router"]!.stdout()).toMatch(/datastore .*redis/i);
    });

    test("every healthcheck is well", async () => {
      for (const [service, { healthcheck }] of Object.entries(compose.services)) {
        const [kind, ...line] = healthcheck?.test ?? ["CMD", ...image.healthcheck];
        expect(kind).toBe("CMD");
        const [program, ...args] = outside(line, services.replacements[service]!);
        const port: string[] = program === "redis-cli" ? ["-p", String(services.ports["redis"])] : [];
        const outcome = await place.run(program!, [...port, ...args], { cwd: services.root, env: services.env });
        expect(outcome, service).toMatchObject({ code: 0 });
      }
    });

    if (name === "compose.cluster.yaml") {
      test("objects are spread over both servers, and the router's own directory has none", async () => {
        const { env, root } = services;
        const places = new Set<string>();
        for (let count = 0; count < 8; count++) {
          const object = await put(env);
          const said = await place.done("data-putter", ["stat", object, "--json"], { cwd: root, env });
          for (const volume of (JSON.parse(said) as { volumes: { place: string }[] }).volumes) places.add(volume.place);
        }
        expect(places.size).toBe(2);
        const found = await place.done("find", [root, "-name", "obj"], { cwd: root });
        expect(found).toBe("");
      });

      test("without DATA_PUTTER_KEY it does not start: compose says what is missing", () => {
        const own = ["router", "server-1", "server-2"].map((service) => compose.services[service]!.environment);
        for (const environment of own) expect(environment?.["DATA_PUTTER_KEY"]).toMatch(/^\$\{DATA_PUTTER_KEY:\?.+\}$/);
      });

      test("a server whose container has ended is ill", async () => {
        const line = compose.services["server-1"]!.healthcheck!.test.slice(1);
        const nothing = String(await freePort());
        const [program, ...args] = outside(line, [["5000", nothing]]);
        expect((await place.run(program!, args, { cwd: services.root })).code).toBe(1);
      });
    }
  });
});

/** What stands in a container's command, and what stands there here. */
type Replacement = readonly [container: string, here: string];

interface Running {
  readonly byName: Record<string, Service>;
  readonly ports: Record<string, number>;
  readonly replacements: Record<string, Replacement[]>;
  /** What a client on this machine needs. */
  readonly env: Record<string, string>;
  /** The router's /data. */
  readonly root: string;
}

/** Starts what a compose file describes, in the order of `depends_on`; `before`: on the same data and ports. */
async function startAll(name: string, compose: Compose, before?: Running): Promise<Running> {
  const key = "000102030405060708090a0b0c0d0e0f";
  const dependencies = (service: string): number => Object.keys(compose.services[service]!.depends_on ?? {}).length;
  const names = Object.keys(compose.services).sort((a, b) => dependencies(a) - dependencies(b));
  const ports: Record<string, number> = { ...before?.ports };
  for (const service of [...names, "responses", "s3"]) ports[service] ??= await freePort();
  const byName: Record<string, Service> = {};
  let root = "";
  const replacements: Running["replacements"] = {};
  let env: Record<string, string> = {};
  for (const service of names) {
    const { command, environment = {} } = compose.services[service]!;
    const data = await place.folder(`${name}-${service}`);
    const addresses = names.map((other): Replacement => {
      return [`${other}:${other === "redis" ? 6379 : 5000}`, `127.0.0.1:${ports[other]}`];
    });
    // In this order: a bare 5000 is the port that a healthcheck connects to.
    const replaced: Replacement[] = [...addresses, ["/data", data], ["5000", String(ports[service])]];
    replacements[service] = replaced;
    const isRedis = service === "redis";
    const own = Object.entries(environment).flatMap(([variable, value]) => {
      if (value === null) return [];
      return [[variable, value.startsWith("${DATA_PUTTER_KEY:?") ? key : outside([value], replaced)[0]!]];
    });
    const settings = Object.fromEntries(own) as Record<string, string>;
    if (!isRedis) settings["DATA_PUTTER_PORT"] = String(ports[service]);
    if (service === "router") {
      root = data;
      settings["DATA_PUTTER_RESPONSE_PORT"] = String(ports["responses"]);
      expect(environment).toMatchObject({ DATA_PUTTER_ACCESS_KEY: null, DATA_PUTTER_SECRET_KEY: null });
      Object.assign(settings, s3Settings(ports["s3"]!));
      env = { ...settings };
      delete env["REDIS_HOSTPORT"];
    }
    const [program, ...args] = isRedis ? command : ["data-putter", ...command];
    const where = isRedis ? ["--port", String(ports[service]), "--bind", "127.0.0.1", "--dir", data] : [];
    byName[service] = await place.start(program!, [...outside(args, replaced), ...where], {
      cwd: data,
      env: settings,
      ready: isRedis ? /Ready to accept connections/ : /key fingerprint/,
    });
  }
  const running = { byName, ports, replacements, env, root };
  await untilPuttersAreFound(compose, running);
  return running;
}

/** A router takes putters up when they answer, in the background. */
async function untilPuttersAreFound(compose: Compose, { env, root }: Running): Promise<void> {
  const servers = Object.keys(compose.services).filter((service) => service.startsWith("server"));
  for (let attempt = 0; attempt < 50; attempt++) {
    const said = await place.done("data-putter", ["status", "--json"], { cwd: root, env });
    if ((JSON.parse(said) as { putters: unknown[] }).putters.length >= Math.max(1, servers.length)) return;
  }
  throw new Error("the router did not find its servers");
}

/** A command of the container as it runs here. */
function outside(line: readonly string[], replaced: readonly Replacement[]): string[] {
  return line.map((word) => {
    const here = replaced.reduce((text, [from, to]) => text.replaceAll(from, to), word);
    return here === "0.0.0.0" ? "127.0.0.1" : here;
  });
}

/** Sends the file as anybody would, with nc; resolves to the ObjectID. */
async function put(env: Readonly<Record<string, string>>): Promise<string> {
  const args = ["-N", "-w", "30", "127.0.0.1", env["DATA_PUTTER_PORT"]!];
  const said = await place.done("nc", args, { cwd: place.directory, input: bytes });
  const object = /^OBJECT (\w+) WRITTEN OK\n$/.exec(said)?.[1];
  if (object === undefined) throw new Error(`not stored: ${said}`);
  return object;
}

async function get(object: string, root: string, env: Readonly<Record<string, string>>): Promise<Buffer> {
  const back = path.join(place.directory, `back-${object}`);
  await place.done("data-putter", ["get", object, "-o", back], { cwd: root, env });
  return readFile(back);
}

function list(root: string, env: Readonly<Record<string, string>>): Promise<string> {
  return place.done("data-putter", ["ls"], { cwd: root, env });
}

const access = { accessKeyId: "AKIADOCKERTEST000000", secretAccessKey: "a-secret-of-the-tests-of-docker-00000000" };

function s3Settings(port: number): Record<string, string> {
  return {
    DATA_PUTTER_S3_PORT: String(port),
    DATA_PUTTER_ACCESS_KEY: access.accessKeyId,
    DATA_PUTTER_SECRET_KEY: access.secretAccessKey,
  };
}

/** Resolves to the bytes that came back. */
async function putAndGetByS3(port: number): Promise<Buffer> {
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: access,
  });
  await client.send(new CreateBucketCommand({ Bucket: "photos" }));
  await client.send(new PutObjectCommand({ Bucket: "photos", Key: "file", Body: bytes }));
  const { Body } = await client.send(new GetObjectCommand({ Bucket: "photos", Key: "file" }));
  const back = Buffer.from(await Body!.transformToByteArray());
  client.destroy();
  return back;
}
