/**
 * Every option there is: how it is spelled on the command line, in the environment and in a YAML file, what it takes,
 * and which commands have it with which default. Help, docs/configuration.md and the checks before start all come from
 * this table. Precedence: flag, environment, file, default.
 */
import * as limits from "../core/limits.ts";
import * as rules from "./option-rules.ts";

export const commandNames = [
  "router",
  "server",
  "put",
  "get",
  "ls",
  "stat",
  "rm",
  "verify",
  "status",
  "restore",
  "loopback",
  "key make",
  "key show",
  "user add",
  "user ls",
  "user rm",
  "encryption-key add",
  "encryption-key ls",
  "encryption-key rotate",
  "bench",
] as const;
export type CommandName = (typeof commandNames)[number];

/** A variable may be spelled by other rules than the flag (REDIS_HOSTPORT is the case). */
export interface Variable<Value> extends Partial<rules.Rule<Value>> {
  readonly name: string;
}

export interface Option<Value> extends rules.Rule<Value> {
  /** undefined: environment only, for what must not be seen in a list of processes. */
  readonly flag?: string;
  readonly short?: string;
  /** How help calls the value; undefined for a switch. `X...`: several values, which are joined by commas. */
  readonly argument?: string;
  readonly variables?: readonly Variable<Value>[];
  readonly fileKey?: string;
  readonly about: string;
  /** Default as text, by command; `null` where there is none. Other commands do not have the option. */
  readonly commands: { readonly [Name in CommandName]?: string | null };
  /** Said in place of a default that is no fixed text. */
  readonly defaultNote?: string | ((command: CommandName) => string);
  /** Its value is never shown. */
  readonly secret?: true;
}

const keyClients = ["encryption-key add", "encryption-key ls", "encryption-key rotate"] as const;
const userClients = ["user add", "user ls", "user rm"] as const;
const clients = ["get", "ls", "stat", "rm", "verify", "status", ...userClients, ...keyClients] as const;
const keyed = ["router", "server", ...clients, "loopback"] as const;
const configured = [...keyed, "put", "key show"] as const;
const printing = [...configured, "restore", "key make"] as const;
const none = <Name extends CommandName>(names: readonly Name[]): { [Each in Name]: null } => all(names, null);

export const options = {
  root: option({
    flag: "--root",
    argument: "DIR",
    variables: [{ name: "DATA_PUTTER_ROOT" }],
    fileKey: "root",
    about: "where the data is kept; made if it is not there",
    ...rules.path,
    commands: { router: "./data", server: ".", restore: "./data" },
  }),
  host: option({
    flag: "--host",
    argument: "HOST",
    variables: [{ name: "DATA_PUTTER_HOST" }],
    fileKey: "host",
    about: "where the other side is",
    ...rules.bindAddress,
    commands: all([...clients, "put", "loopback"], "127.0.0.1"),
  }),
  listenPort: option({
    flag: "--port",
    argument: "PORT",
    variables: [{ name: "DATA_PUTTER_PORT" }],
    fileKey: "port",
    about: "port to listen on: byte streams (router), WriteTickets (server)",
    ...rules.listenPort,
    commands: { router: "5001", server: "5000" },
  }),
  streamPort: option({
    flag: "--port",
    argument: "PORT",
    variables: [{ name: "DATA_PUTTER_PORT" }],
    fileKey: "port",
    about: "port of the other side: a router's for byte streams (put), a server's for WriteTickets (loopback)",
    ...rules.remotePort,
    commands: { put: "5001", loopback: "5000" },
  }),
  responsePort: option({
    flag: "--response-port",
    argument: "PORT",
    variables: [{ name: "DATA_PUTTER_RESPONSE_PORT" }],
    fileKey: "response-port",
    about: "port to listen on for WriteTicketResponses, and for get, ls and the like",
    ...rules.listenPort,
    commands: { router: "5002" },
  }),
  requestPort: option({
    flag: "--port",
    argument: "PORT",
    variables: [{ name: "DATA_PUTTER_RESPONSE_PORT" }],
    fileKey: "response-port",
    about: "the router's response port",
    ...rules.remotePort,
    commands: all(clients, "5002"),
  }),
  s3Port: option({
    flag: "--s3-port",
    argument: "PORT",
    variables: [{ name: "DATA_PUTTER_S3_PORT" }],
    fileKey: "s3-port",
    about: "port to listen on for S3 over HTTP",
    ...rules.listenPort,
    commands: { router: "9000" },
  }),
  s3Domains: option({
    flag: "--s3-domain",
    argument: "LIST",
    variables: [{ name: "DATA_PUTTER_S3_DOMAIN" }],
    fileKey: "s3-domain",
    about: "host names under which a bucket is a sub-domain, name,name,…; path style always works",
    ...rules.hostNames,
    commands: { router: "localhost" },
  }),
  region: option({
    flag: "--region",
    argument: "REGION",
    variables: [{ name: "DATA_PUTTER_REGION" }],
    fileKey: "region",
    about: "region that buckets made without one are said to be in; signatures for any region are taken",
    ...rules.region,
    commands: { router: "us-east-1" },
  }),
  objectOwnership: option({
    flag: "--object-ownership",
    argument: "WHICH",
    variables: [{ name: "DATA_PUTTER_OBJECT_OWNERSHIP" }],
    fileKey: "object-ownership",
    about: "object ownership of buckets that are made without one; ACLs work in those that are not BucketOwnerEnforced",
    ...rules.objectOwnership,
    commands: { router: "BucketOwnerEnforced" },
  }),
  customerKeysOverHttp: option({
    flag: "--sse-c-over-http",
    argument: "FROM",
    variables: [{ name: "DATA_PUTTER_SSE_C_OVER_HTTP" }],
    fileKey: "sse-c-over-http",
    about:
      "from where clients' encryption keys (SSE-C) are taken without TLS; whoever listens in between can read them",
    ...rules.oneOf("loopback", "anywhere"),
    commands: { router: "loopback" },
  }),
  dayLength: option({
    flag: "--lifecycle-day",
    argument: "SECONDS",
    variables: [{ name: "DATA_PUTTER_LIFECYCLE_DAY" }],
    fileKey: "lifecycle-day",
    about: "how long a day of lifecycle rules is, for tests",
    ...rules.wholeNumber(1, 86_400),
    commands: { router: "86400" },
  }),
  bind: option({
    flag: "--bind",
    argument: "HOST",
    variables: [{ name: "DATA_PUTTER_BIND" }],
    fileKey: "bind",
    about: "address to listen on; 0.0.0.0 or :: for every interface",
    ...rules.bindAddress,
    commands: all(["router", "server"], "127.0.0.1"),
  }),
  keyFile: option({
    flag: "--key-file",
    argument: "FILE",
    variables: [{ name: "DATA_PUTTER_KEY_FILE" }],
    fileKey: "key-file",
    about: "file that holds the shared key",
    ...rules.path,
    commands: none([...keyed, "key show"]),
    defaultNote: (command) =>
      command === "router" || command === "server"
        ? "ROOT/key, made at the first start"
        : "the first of data/key and key that is there",
  }),
  key: option({
    variables: [{ name: "DATA_PUTTER_KEY" }],
    about: "the shared key itself",
    ...rules.key,
    commands: none([...keyed, "key show"]),
    secret: true,
  }),
  depth: option({
    flag: "--depth",
    argument: "D",
    variables: [{ name: "DATA_PUTTER_DEPTH" }],
    fileKey: "depth",
    about: "directories per TicketID, chosen when the data directory is made and fixed from then on",
    ...rules.depth,
    commands: none(["router", "server"]),
    defaultNote: (command) => `what the directory has; for a new one ${command === "router" ? "2" : "4"}`,
  }),
  putters: option({
    flag: "--putters",
    argument: "LIST",
    variables: [{ name: "DATA_PUTTER_PUTTERS" }],
    fileKey: "putters",
    about: "servers that keep the tickets, host:port,host:port,…",
    ...rules.addresses,
    commands: none(["router"]),
    defaultNote: "the router keeps them itself",
  }),
  respondTo: option({
    flag: "--respond-to",
    argument: "HOST:PORT",
    variables: [{ name: "DATA_PUTTER_RESPOND_TO" }],
    fileKey: "respond-to",
    about: "a router's response port, to send all WriteTicketResponses to",
    ...rules.address,
    commands: none(["server"]),
    defaultNote: "answered on the connection that the tickets came on",
  }),
  datastore: option({
    flag: "--datastore",
    argument: "WHICH",
    variables: [
      { name: "DATA_PUTTER_DATASTORE", ...rules.datastoreWithPassword },
      { name: "REDIS_HOSTPORT", ...rules.redisHostPort },
    ],
    fileKey: "datastore",
    about:
      "where metadata is kept: embedded (ROOT/datastore) or redis://host:port; REDIS_HOSTPORT=host:port means Redis",
    ...rules.datastore,
    commands: { router: "embedded" },
  }),
  snapshotInterval: option({
    flag: "--snapshot-interval",
    argument: "SECONDS",
    variables: [{ name: "DATA_PUTTER_SNAPSHOT_INTERVAL" }],
    fileKey: "snapshot-interval",
    about:
      "how often a snapshot of the embedded datastore is taken, where something has changed; 0: never, and no journal",
    ...rules.wholeNumber(0, 31_536_000),
    commands: { router: String(limits.snapshotIntervalMs / 1000) },
  }),
  snapshotsKept: option({
    flag: "--snapshots-kept",
    argument: "N",
    variables: [{ name: "DATA_PUTTER_SNAPSHOTS_KEPT" }],
    fileKey: "snapshots-kept",
    about: `snapshots that are kept, besides the last one of each of ${limits.snapshotDaysKept} days`,
    ...rules.wholeNumber(1, 10_000),
    commands: { router: String(limits.snapshotsKept) },
  }),
  durability: option({
    flag: "--durability",
    argument: "WHEN",
    variables: [{ name: "DATA_PUTTER_DURABILITY" }],
    fileKey: "durability",
    about: "what is acknowledged: disk (survives a power cut) or os (may be lost in one)",
    ...rules.durability,
    commands: all(["router", "server"], "disk"),
  }),
  tlsCert: option({
    flag: "--tls-cert",
    argument: "FILE",
    variables: [{ name: "DATA_PUTTER_TLS_CERT" }],
    fileKey: "tls-cert",
    about: "certificate (PEM, with those between) for S3 over HTTPS, together with its key; read again when it changes",
    ...rules.path,
    commands: none(["router"]),
    defaultNote: "plain HTTP",
  }),
  tlsKey: option({
    flag: "--tls-key",
    argument: "FILE",
    variables: [{ name: "DATA_PUTTER_TLS_KEY" }],
    fileKey: "tls-key",
    about: "private key (PEM) of that certificate",
    ...rules.path,
    commands: none(["router"]),
    defaultNote: "plain HTTP",
  }),
  maxRequests: option({
    flag: "--max-requests",
    argument: "N",
    variables: [{ name: "DATA_PUTTER_MAX_REQUESTS" }],
    fileKey: "max-requests",
    about: "S3 requests under way at a time; further ones are answered SlowDown",
    ...rules.wholeNumber(1, 1_000_000),
    commands: { router: String(limits.httpRequestsMax) },
  }),
  maxConnections: option({
    flag: "--max-connections",
    argument: "N",
    variables: [{ name: "DATA_PUTTER_MAX_CONNECTIONS" }],
    fileKey: "max-connections",
    about: "connections on the S3 port; further ones are closed at once",
    ...rules.wholeNumber(1, 1_000_000),
    commands: { router: String(limits.connectionsMax) },
  }),
  headerTimeout: option({
    flag: "--header-timeout",
    argument: "SECONDS",
    variables: [{ name: "DATA_PUTTER_HEADER_TIMEOUT" }],
    fileKey: "header-timeout",
    about: "how long a request's headers may take on the S3 port",
    ...rules.wholeNumber(1, 3_600),
    commands: { router: String(limits.httpHeaderTimeoutMs / 1000) },
  }),
  bodyIdleTimeout: option({
    flag: "--body-idle-timeout",
    argument: "SECONDS",
    variables: [{ name: "DATA_PUTTER_BODY_IDLE_TIMEOUT" }],
    fileKey: "body-idle-timeout",
    about: "a body on the S3 port of which nothing comes for so long is given up",
    ...rules.wholeNumber(1, 3_600),
    commands: { router: String(limits.httpBodyIdleTimeoutMs / 1000) },
  }),
  accessLog: option({
    flag: "--access-log",
    argument: "FILE",
    variables: [{ name: "DATA_PUTTER_ACCESS_LOG" }],
    fileKey: "access-log",
    about: "write a line of JSON for each S3 request to FILE (opened again on SIGHUP), or to standard output: -",
    ...rules.path,
    commands: none(["router"]),
    defaultNote: "none is written",
  }),
  workers: option({
    flag: "--workers",
    argument: "N",
    variables: [{ name: "DATA_PUTTER_WORKERS" }],
    fileKey: "workers",
    about: "processes that serve S3 on one port and one data directory; about one for each core",
    ...rules.wholeNumber(1, limits.workersMax),
    commands: { router: "1" },
  }),
  logLevel: option({
    flag: "--log-level",
    argument: "LEVEL",
    variables: [{ name: "DATA_PUTTER_LOG_LEVEL" }],
    fileKey: "log-level",
    about: "from which importance on the log (JSON lines on standard error) is written",
    ...rules.logLevel,
    commands: all(["router", "server"], "info"),
  }),
  config: option({
    flag: "--config",
    argument: "FILE",
    variables: [{ name: "DATA_PUTTER_CONFIG" }],
    about: "YAML file with options, each under its name without the dashes",
    ...rules.path,
    commands: none([...configured, "restore"]),
  }),
  json: option({
    flag: "--json",
    about: "print JSON, one value a line, for programs",
    ...rules.given,
    commands: none(printing),
  }),

  from: option({
    flag: "--from",
    argument: "SNAPSHOT",
    about: "the name of a snapshot, or the path of a copy of data.mdb",
    ...rules.path,
    commands: none(["restore"]),
    defaultNote: "the newest snapshot that is good",
  }),
  dryRun: option({
    flag: "--dry-run",
    about: "say what would be restored, and change nothing",
    ...rules.given,
    commands: none(["restore"]),
  }),
  output: option({
    flag: "--output",
    short: "-o",
    argument: "FILE",
    about: "write to FILE; it appears under this name when it is whole and on disk, until then it is FILE.part",
    ...rules.path,
    commands: none(["get"]),
    defaultNote: "standard output",
  }),
  resume: option({
    flag: "--resume",
    about: "go on where FILE.part of an earlier get of the same object ends",
    ...rules.given,
    commands: none(["get"]),
  }),
  offset: option({
    flag: "--offset",
    argument: "BYTES",
    about: "begin at this byte of the object",
    ...rules.byteCount,
    commands: { get: "0" },
  }),
  length: option({
    flag: "--length",
    argument: "BYTES",
    about: "so many bytes, or fewer where the object ends",
    ...rules.byteCount,
    commands: none(["get"]),
    defaultNote: "to the end of the object",
  }),
  limit: option({
    flag: "--limit",
    argument: "N",
    about: "list at most so many objects",
    ...rules.wholeNumber(1, Number.MAX_SAFE_INTEGER, "a whole number, at least 1"),
    commands: none(["ls"]),
    defaultNote: "all",
  }),
  after: option({
    flag: "--after",
    argument: "OBJECT",
    about: "list the objects that come after this one",
    ...rules.ticketId,
    rule: "an ObjectID: 1 to 8 characters of 0-9 and A-Z",
    commands: none(["ls"]),
    defaultNote: "from the first",
  }),
  watch: option({
    flag: "--watch",
    about: "follow a write until it has ended",
    ...rules.given,
    commands: none(["stat"]),
  }),
  count: option({
    flag: "--count",
    argument: "N",
    about: "tickets to send",
    ...rules.ticketCount,
    commands: none(["loopback"]),
    defaultNote: "100000, or what FILE needs",
  }),
  connections: option({
    flag: "--connections",
    argument: "N",
    about: "connections to send on",
    ...rules.wholeNumber(1, 256),
    commands: { loopback: "1" },
  }),
  inFlight: option({
    flag: "--in-flight",
    argument: "N",
    about: "tickets that may wait for their answer, per connection",
    ...rules.wholeNumber(1, 1_048_576),
    commands: { loopback: "8192" },
  }),
  file: option({
    flag: "--file",
    argument: "FILE",
    about: "send the bytes of FILE",
    ...rules.path,
    commands: none(["loopback"]),
    defaultNote: "a fixed pattern",
  }),
  first: option({
    flag: "--first",
    argument: "TICKET",
    about: "the first TicketID; the others follow it",
    ...rules.ticketId,
    commands: none(["loopback"]),
    defaultNote: "one of the high ids, by chance, so that runs do not meet",
  }),

  rootAccessKey: option({
    variables: [{ name: "DATA_PUTTER_ACCESS_KEY" }],
    about: "the access key of root, who may do everything; together with its secret key",
    ...rules.accessKey,
    commands: none(["router"]),
    defaultNote: "made at the first start",
  }),
  rootSecretKey: option({
    variables: [{ name: "DATA_PUTTER_SECRET_KEY" }],
    about: "the secret key of root",
    ...rules.secretKey,
    commands: none(["router"]),
    defaultNote: "made at the first start, and shown this once",
    secret: true,
  }),
  newAccessKey: option({
    flag: "--access-key",
    argument: "KEY",
    variables: [{ name: "DATA_PUTTER_NEW_ACCESS_KEY" }],
    about: "the user's access key",
    ...rules.accessKey,
    commands: none(["user add"]),
    defaultNote: "one by chance",
  }),
  newSecretKey: option({
    variables: [{ name: "DATA_PUTTER_NEW_SECRET_KEY" }],
    about: "the user's secret key",
    ...rules.secretKey,
    commands: none(["user add"]),
    defaultNote: "one by chance",
    secret: true,
  }),
  email: option({
    flag: "--email",
    argument: "ADDRESS",
    about: "e-mail address of the new account, by which others can grant it something",
    ...rules.email,
    commands: none(["user add"]),
  }),
  readOnly: option({
    flag: "--read-only",
    about: "the user may read and list, and change nothing",
    ...rules.given,
    commands: none(["user add"]),
  }),
  buckets: option({
    flag: "--bucket",
    argument: "BUCKET...",
    about: "the user has access to these buckets only",
    ...rules.buckets,
    commands: none(["user add"]),
  }),
  account: option({
    flag: "--account",
    argument: "ACCOUNT",
    about: "the user is of this account",
    ...rules.userName,
    commands: none(["user add"]),
    defaultNote: "a new account; with --read-only or --bucket, that of root",
  }),
};

export type Options = typeof options;
export type OptionName = keyof Options;
export type ValueOf<Name extends OptionName> = Options[Name] extends Option<infer Value> ? Value : never;

/** The options of a command, in the order of the table. */
export function optionsOf(command: CommandName): [OptionName, Option<unknown>][] {
  const entries = Object.entries(options) as [OptionName, Option<unknown>][];
  return entries.filter(([, { commands }]) => commands[command] !== undefined);
}

/** What holds where nothing is given, in words. */
export function describeDefault({ commands, defaultNote }: Option<unknown>, command: CommandName): string | undefined {
  return commands[command] ?? (typeof defaultNote === "function" ? defaultNote(command) : defaultNote);
}

function option<Value>(entry: Option<Value>): Option<Value> {
  return entry;
}

function all<Name extends CommandName, Text extends string | null>(
  names: readonly Name[],
  value: Text,
): { [Each in Name]: Text } {
  return Object.fromEntries(names.map((name) => [name, value])) as { [Each in Name]: Text };
}
