import { describe, expect, it } from "vitest";
import { type CommandName, commandNames, type Option, type OptionName, options, optionsOf } from "./options.ts";
import { resolveSettings, type Settings, type Sources } from "./settings.ts";

const entries = Object.entries(options) as [OptionName, Option<unknown>][];

/** For each option two texts that its rule takes, and that differ. */
const samples: { readonly [Name in OptionName]?: readonly [string, string] } = {
  root: ["/a", "/b"],
  host: ["10.0.0.1", "store.example"],
  listenPort: ["0", "65535"],
  streamPort: ["1", "65535"],
  responsePort: ["7000", "7001"],
  requestPort: ["1", "65535"],
  bind: ["0.0.0.0", "::1"],
  keyFile: ["/a/key", "/b/key"],
  key: ["000102030405060708090a0b0c0d0e0f", "0f0e0d0c0b0a09080706050403020100"],
  depth: ["2", "4"],
  putters: ["10.0.0.1:5000,10.0.0.2:5000", "[::1]:5000"],
  respondTo: ["10.0.0.1:5002", "router:5002"],
  datastore: ["embedded", "redis://10.0.0.1:6379"],
  durability: ["disk", "os"],
  logLevel: ["debug", "silent"],
  peerTls: ["true", "false"],
  s3Port: ["9000", "0"],
  s3Domains: ["localhost", "s3.example.com,localhost"],
  region: ["us-east-1", "here"],
  objectOwnership: ["BucketOwnerEnforced", "ObjectWriter"],
  dayLength: ["86400", "1"],
  customerKeysOverHttp: ["loopback", "anywhere"],
  tlsCert: ["a.pem", "b.pem"],
  tlsKey: ["a.pem", "b.pem"],
  maxRequests: ["1024", "1"],
  maxConnections: ["16384", "1"],
  headerTimeout: ["20", "1"],
  bodyIdleTimeout: ["60", "1"],
  accessLog: ["-", "access.log"],
  workers: ["1", "2"],
  snapshotInterval: ["0", "3600"],
  snapshotsKept: ["1", "24"],
  rootAccessKey: ["root", "ROOT"],
  rootSecretKey: ["secret", "SECRET/+="],
  newAccessKey: ["test", "AKIAIOSFODNN7EXAMPLE"],
  newSecretKey: ["test", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
};

/** Options that are nothing without another one, and that one as a variable. */
const companions: { readonly [Name in OptionName]?: { readonly [variable: string]: string } } = {
  rootAccessKey: { DATA_PUTTER_SECRET_KEY: "secret" },
  rootSecretKey: { DATA_PUTTER_ACCESS_KEY: "root" },
  tlsCert: { DATA_PUTTER_TLS_KEY: "key.pem" },
  tlsKey: { DATA_PUTTER_TLS_CERT: "cert.pem" },
};

function resolve(command: CommandName, sources: Partial<Sources>) {
  return resolveSettings(command, { flags: {}, environment: {}, readFile: () => "", ...sources });
}

function settingsOf(command: CommandName, sources: Partial<Sources>): Settings {
  const resolved = resolve(command, sources);
  if (resolved.kind === "problems") throw new Error(resolved.problems.join("\n"));
  return resolved.settings;
}

function problemsOf(command: CommandName, sources: Partial<Sources>): readonly string[] {
  const resolved = resolve(command, sources);
  return resolved.kind === "problems" ? resolved.problems : [];
}

/** A file with these options, and the flag that names it. */
function file(values: { readonly [key: string]: string }): Partial<Sources> {
  const text = Object.entries(values).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`);
  return { environment: { DATA_PUTTER_CONFIG: "store.yaml" }, readFile: () => text.join("") };
}

function firstCommand(option: Option<unknown>): CommandName {
  return commandNames.find((name) => option.commands[name] !== undefined)!;
}

describe("the table of options", () => {
  it("every default is what its own rule takes", () => {
    const wrong = entries.flatMap(([name, { commands, parse }]) =>
      Object.values(commands)
        .filter((text) => text !== null && parse(text) === undefined)
        .map((text) => [name, text]),
    );
    expect(wrong).toEqual([]);
  });

  it("no command has two options of one flag, one variable or one name in the file", () => {
    for (const command of commandNames) {
      const own = optionsOf(command).map(([, option]) => option);
      const flags = own.flatMap(({ flag }) => flag ?? []);
      const variables = own.flatMap(({ variables = [] }) => variables.map(({ name }) => name));
      const keys = own.flatMap(({ fileKey }) => fileKey ?? []);
      for (const spelled of [flags, variables, keys]) expect(new Set(spelled).size).toBe(spelled.length);
    }
  });

  it("every option that has a variable has a sample here", () => {
    const named = entries.filter(([name, { variables = [] }]) => variables.length > 0 && name !== "config");
    expect(named.map(([name]) => name).filter((name) => samples[name] === undefined)).toEqual([]);
  });
});

describe.each(Object.keys(samples) as OptionName[])("%s", (name) => {
  const option = options[name] as Option<unknown>;
  const command = firstCommand(option);
  const [one, other] = samples[name]!;

  it("comes from the flag, the environment or the file", () => {
    const expected = option.parse(one);
    if (option.flag !== undefined) {
      const environment = companions[name] ?? {};
      expect(settingsOf(command, { environment, flags: { [name]: one } }).find(name)).toEqual(expected);
    }
    for (const { name: variable, parse } of option.variables ?? []) {
      if (parse !== undefined) continue;
      expect(settingsOf(command, { environment: { ...companions[name], [variable]: one } }).find(name)).toEqual(
        expected,
      );
    }
    if (option.fileKey !== undefined) {
      const inFile = file({ [option.fileKey]: one });
      const environment = { ...inFile.environment, ...companions[name] };
      expect(settingsOf(command, { ...inFile, environment }).find(name)).toEqual(expected);
    }
  });

  it("flag before environment before file before default", () => {
    const variable = option.variables![0]!.name;
    const inFile = option.fileKey === undefined ? {} : file({ [option.fileKey]: one });
    const environment = { ...inFile.environment, ...companions[name], [variable]: other };
    const fromEnvironment = settingsOf(command, { ...inFile, environment });
    expect(fromEnvironment.find(name)).toEqual(option.parse(other));
    expect(fromEnvironment.originOf(name)).toBe("environment");
    if (option.flag === undefined) return;
    const fromFlag = settingsOf(command, { ...inFile, environment, flags: { [name]: one } });
    expect(fromFlag.find(name)).toEqual(option.parse(one));
    expect(fromFlag.originOf(name)).toBe("flag");
  });
});

describe("checking", () => {
  it("tells all that is wrong at once, with source, rule and value", () => {
    const text = "port: 70000\nputters:\n  - 10.0.0.1\nunknown: 1\n";
    expect(
      problemsOf("router", {
        flags: { config: "store.yaml", depth: "5", durability: "maybe" },
        environment: { DATA_PUTTER_BIND: "a b", REDIS_HOSTPORT: "redis", DATA_PUTTER_ROOTS: "/x" },
        readFile: () => text,
      }),
    ).toEqual([
      expect.stringMatching(/^DATA_PUTTER_ROOTS: there is no such variable; there are DATA_PUTTER_ACCESS_KEY, /),
      expect.stringMatching(/^store\.yaml:4 \(unknown\): there is no such option; there are .*bind, /),
      'store.yaml:1 (port): a port, 0 to 65535 (0 takes a free one), not "70000"',
      'DATA_PUTTER_BIND: an IP address or a host name, without a port, not "a b"',
      '--depth: 2, 3 or 4, not "5"',
      'store.yaml:2 (putters): host:port,host:port,… with ports from 1 to 65535, none of them twice, not "10.0.0.1"',
      'REDIS_HOSTPORT: host:port with a port from 1 to 65535, not "redis"',
      '--durability: disk or os, not "maybe"',
    ]);
  });

  it("a wrong value is told even where a stronger one is right", () => {
    expect(problemsOf("router", { flags: { depth: "2" }, environment: { DATA_PUTTER_DEPTH: "9" } })).toEqual([
      'DATA_PUTTER_DEPTH: 2, 3 or 4, not "9"',
    ]);
  });

  it("a key is never repeated", () => {
    const key = "000102030405060708090a0b0c0d0e";
    const [problem] = problemsOf("router", { environment: { DATA_PUTTER_KEY: key } });
    expect(problem).toBe("DATA_PUTTER_KEY: 32 hex digits (16 bytes); what is set has 30 characters");
  });

  it("root's keys are given together; the secret one is never repeated", () => {
    const [alone] = problemsOf("router", { environment: { DATA_PUTTER_ACCESS_KEY: "root" } });
    expect(alone).toBe("DATA_PUTTER_ACCESS_KEY and DATA_PUTTER_SECRET_KEY: set both, or none of them");
    const environment = { DATA_PUTTER_ACCESS_KEY: "root", DATA_PUTTER_SECRET_KEY: "a b" };
    expect(problemsOf("router", { environment })).toEqual([
      "DATA_PUTTER_SECRET_KEY: 4 to 128 visible ASCII characters; what is set has 3 characters",
    ]);
  });

  it("a key cannot stand in the file", () => {
    expect(problemsOf("router", file({ key: "000102030405060708090a0b0c0d0e0f" }))[0]).toMatch(/no such option/);
  });

  it.each([["-1"], ["65536"], ["5e3"], ["5000 "], [""], ["0x10"]])("a port is not %j", (text) => {
    expect(problemsOf("router", { flags: { listenPort: text } })).toHaveLength(1);
  });

  it("a client's port is none that stands for a free one", () => {
    expect(problemsOf("get", { flags: { requestPort: "0" } })).toEqual(['--port: a port, 1 to 65535, not "0"']);
  });

  it.each(["redis://", "redis://host", "redis://host:0", "http://host:1", "redis://u:p@host:1", "Embedded"])(
    "a datastore is not %s",
    (text) => expect(problemsOf("router", { flags: { datastore: text } })).toHaveLength(1),
  );

  it.each(["redis://:pass%2Fword@redis:6379", "rediss://some-user:password@[::1]:6380/"])(
    "a password for Redis stands in a variable, and nowhere else: %s",
    (text) => {
      const url = text.replace(/\/$/, "");
      const given = { environment: { DATA_PUTTER_DATASTORE: text } };
      expect(settingsOf("router", given).get("datastore")).toEqual({ kind: "redis", url });
      for (const sources of [{ flags: { datastore: text } }, file({ datastore: text })]) {
        const problems = problemsOf("router", sources);
        expect(problems).toEqual([expect.stringMatching(/not "rediss?:\/\/…@/)]);
        expect(problems[0]).not.toMatch(/pass%2F|:password@\[/);
      }
    },
  );

  it("Redis over TLS is rediss://", () => {
    const url = "rediss://redis:6380";
    expect(settingsOf("router", { flags: { datastore: url } }).get("datastore")).toEqual({ kind: "redis", url });
  });

  it("REDIS_HOSTPORT is Redis, and does not go together with DATA_PUTTER_DATASTORE", () => {
    const environment = { REDIS_HOSTPORT: "redis:6379" };
    expect(settingsOf("router", { environment }).get("datastore")).toEqual({
      kind: "redis",
      url: "redis://redis:6379",
    });
    expect(settingsOf("router", { environment, flags: { datastore: "embedded" } }).get("datastore").kind).toBe(
      "embedded",
    );
    expect(problemsOf("router", { environment: { ...environment, DATA_PUTTER_DATASTORE: "embedded" } })).toEqual([
      "DATA_PUTTER_DATASTORE and REDIS_HOSTPORT mean the same: set one of them",
    ]);
  });

  it("a variable that is set to nothing is not set", () => {
    expect(settingsOf("router", { environment: { DATA_PUTTER_PORT: "" } }).originOf("listenPort")).toBe("default");
  });

  it("variables and names in the file that are of other commands do no harm", () => {
    const sources = file({ putters: "10.0.0.1:5000", "respond-to": "10.0.0.1:5002" });
    expect(
      settingsOf("ls", { ...sources, environment: { ...sources.environment, DATA_PUTTER_DEPTH: "3" } }),
    ).toBeDefined();
  });

  it.each([
    ["port: [", /^store\.yaml:1: /],
    ["- port", /one `option: value` a line/],
    ["port: {a: 1}", /^store\.yaml:1 \(port\): a value, or a list/],
    ["port: 1\nport: 2", /unique/],
    ["port:", /^store\.yaml:1 \(port\): a port.*not ""$/],
  ])("a file of %j is told with its line", (text, expected) => {
    const problems = problemsOf("router", { flags: { config: "store.yaml" }, readFile: () => text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
  });

  it("an empty file is a file without options", () => {
    for (const text of ["", "# nothing\n"]) {
      expect(problemsOf("router", { flags: { config: "store.yaml" }, readFile: () => text })).toEqual([]);
    }
  });

  it("a file that cannot be read is told", () => {
    const readFile = (): string => {
      throw new Error("ENOENT: no such file");
    };
    expect(problemsOf("router", { flags: { config: "x.yaml" }, readFile })).toEqual([
      "--config: x.yaml cannot be read: ENOENT: no such file",
    ]);
  });

  it("rules between options: two ports, two keys, what --resume needs, the last TicketID", () => {
    expect(problemsOf("router", { flags: { listenPort: "7000", responsePort: "7000" } })[0]).toMatch(/another port/);
    expect(problemsOf("router", { flags: { listenPort: "0", responsePort: "0" } })).toEqual([]);
    const environment = { DATA_PUTTER_KEY: samples.key![0], DATA_PUTTER_KEY_FILE: "key" };
    expect(problemsOf("ls", { environment })[0]).toMatch(/are both set/);
    expect(problemsOf("ls", { environment: { DATA_PUTTER_KEY: samples.key![0] }, flags: { keyFile: "k" } })).toEqual(
      [],
    );
    expect(problemsOf("get", { flags: { resume: true } })[0]).toMatch(/^--resume: needs -o/);
    expect(problemsOf("loopback", { flags: { first: "ZZZZZZZZ", count: "1" } })).toEqual([]);
    expect(problemsOf("loopback", { flags: { first: "ZZZZZZZZ", count: "2" } })[0]).toMatch(/^--first/);
  });
});
