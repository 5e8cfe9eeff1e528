/** `router`: a single-node object store in one process. */
import type { RouterConfig } from "../compose/router-process.ts";
import type { SnapshotChoice } from "../compose/datastore.ts";
import type { WorkerRole } from "../compose/worker-role.ts";
import type { Key } from "../core/key.ts";
import type { Host } from "../env/host.ts";
import type { Command, CommandContext } from "./context.ts";
import type { ExitCode } from "./exit.ts";
import { runService, type Service } from "./service.ts";
import { openAccessLog } from "./access-log.ts";
import { isWorker, runWorker } from "./worker.ts";

export const router: Command = {
  name: "router",
  summary: "run an object store: S3 on 9000, byte streams in on tcp/5001, objects out on tcp/5002",
  description: `Takes objects as plain byte streams: whoever connects to --port, sends bytes and half-closes has stored one, and is told
its id when it is on disk. Programs that have the key read, list and remove objects over --response-port.

Tickets and metadata are kept below --root by this process, unless --putters and --datastore say otherwise. At the first
start a key is made there; with remote servers, give all of them the same key.

SIGINT or SIGTERM closes it: what has been sent whole is still answered, the rest is refused; a second one ends at once.`,
  examples: [
    ["router", "a store in ./data for programs on this machine"],
    ["router --root /srv/objects --bind 0.0.0.0", "for other machines too"],
    ["router --putters 10.0.0.1:5000,10.0.0.2:5000 --key-file key", "tickets on two servers"],
    ["router --datastore redis://127.0.0.1:6379", "metadata in Redis"],
    ["router --workers 4", "S3 served by four processes"],
    ["router --config store.yaml", "options from a file"],
  ],
  run: runRouter,
};

function runRouter(context: CommandContext): Promise<ExitCode> {
  const { settings } = context;
  /** By itself, or as a worker, perhaps in the place of one that had these ports. */
  const start = async (host: Host, root: string, key: Key, worker?: WorkerRole, ports?: Service["ports"]) => {
    // Only who runs one waits for all of it to be loaded.
    const { startRouter } = await import("../compose/router-process.ts");
    const access = await openAccessLog(settings.find("accessLog"), host);
    const [accessKey, secretKey] = [settings.find("rootAccessKey"), settings.find("rootSecretKey")];
    const running = await startRouter(host, {
      root,
      key,
      bind: settings.get("bind"),
      port: ports?.["streamPort"] ?? settings.get("listenPort"),
      responsePort: ports?.["responsePort"] ?? settings.get("responsePort"),
      depth: settings.find("depth"),
      putters: settings.find("putters") ?? [],
      datastore: settings.get("datastore"),
      durability: settings.get("durability"),
      peerTls: settings.get("peerTls"),
      snapshots: snapshotChoice(settings),
      s3: { ...s3Config(settings), ...(access === undefined ? {} : { accessLog: access.log }) },
      ...(worker === undefined ? {} : { worker }),
      ...(accessKey === undefined || secretKey === undefined ? {} : { rootKeys: { accessKey, secretKey } }),
    });
    const { banner, streamPort, responsePort, s3Port } = running;
    const close = async (): Promise<void> => {
      await running.close();
      await access?.close();
    };
    return { banner, ports: { streamPort, responsePort, s3Port }, close };
  };
  if (isWorker()) return runWorker(context, start);
  const count = settings.get("workers");
  return runService(context, "router", count === 1 ? start : (host, root) => startMany(context, host, root, count));
}

function s3Config(settings: CommandContext["settings"]): NonNullable<RouterConfig["s3"]> {
  const [cert, key] = [settings.find("tlsCert"), settings.find("tlsKey")];
  return {
    // Also of a worker in the place of another: under the number that all asked for (0, perhaps) the port is shared.
    port: settings.get("s3Port"),
    ...(cert === undefined || key === undefined ? {} : { tls: { cert, key } }),
    limits: {
      requestsMax: settings.get("maxRequests"),
      connectionsMax: settings.get("maxConnections"),
      headerTimeoutMs: settings.get("headerTimeout") * 1000,
      bodyIdleTimeoutMs: settings.get("bodyIdleTimeout") * 1000,
    },
    settings: {
      region: settings.get("region"),
      domains: settings.get("s3Domains"),
      ownership: settings.get("objectOwnership"),
      dayMs: settings.get("dayLength") * 1000,
      customerKeysOverHttp: settings.get("customerKeysOverHttp") === "anywhere",
    },
  };
}

async function startMany({ settings }: CommandContext, host: Host, root: string, count: number): Promise<Service> {
  const { startWorkers } = await import("./workers.ts");
  return startWorkers(host, {
    count,
    root,
    depth: settings.find("depth"),
    datastore: settings.get("datastore"),
    durability: settings.get("durability"),
    snapshots: snapshotChoice(settings),
  });
}

function snapshotChoice(settings: CommandContext["settings"]): SnapshotChoice {
  return { intervalMs: settings.get("snapshotInterval") * 1000, keptMax: settings.get("snapshotsKept") };
}
