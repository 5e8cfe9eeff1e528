/** Where tickets and metadata are kept, when they are taken for kept, and where answers go to. */
import * as limits from "../../core/limits.ts";
import * as rules from "../option-rules.ts";
import { all, none, option } from "./option.ts";

export const cluster = {
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
};
