/** A router as one process: data directory or remote putters, datastore, ports. What the command line starts. */
import { type Address, formatAddress } from "../core/address.ts";
import { messageOf, StoreError } from "../core/errors.ts";
import { type ArenaSizes, Kernel } from "../core/kernel.ts";
import { fingerprintOf, type Key, peerSecretOf } from "../core/key.ts";
import type { Depth } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { Datastore } from "../datastore/datastore.ts";
import type { Host } from "../env/host.ts";
import { peerHost } from "../env/peer-host.ts";
import type { RootKeys } from "../gateways/s3/auth/account-rules.ts";
import { Accounts } from "../gateways/s3/auth/accounts.ts";
import { Sealing } from "../gateways/s3/auth/sealing.ts";
import { Keyring } from "../gateways/s3/encryption/keyring.ts";
import { firstLook } from "../router/first-look.ts";
import type { RouterStatus } from "../router/object-answers.ts";
import { objectRequests } from "../router/object-requests.ts";
import type { ReclaimSettings } from "../router/reclaimer.ts";
import { RemotePutter } from "../router/remote-putter.ts";
import { openResponsePort, type ResponseCounts } from "../router/response-port.ts";
import { Router } from "../router/router.ts";
import { openStreamPort } from "../router/stream-port.ts";
import { type DataDirectory, openDataDirectory } from "../volume/data-directory.ts";
import { type Durability, VolumeStore } from "../volume/volume-store.ts";
import type { Port } from "../wire/connection-sorter.ts";
import { type DatastoreChoice, openDatastore, type SnapshotChoice } from "./datastore.ts";
import { nameOf, ownPeer, siblingsOf, type WorkerRole } from "./worker-role.ts";
import { encryptionKeyRequests } from "./encryption-key-requests.ts";
import type { RunningGateway, S3Config, S3Parts } from "./s3-gateway.ts";
import { rootRows, userRequests } from "./user-requests.ts";

export interface RouterConfig {
  /** Data directory: volumes (unless putters are given), the embedded datastore. */
  readonly root: string;
  readonly bind: string;
  /** undefined: no byte streams are taken. */
  readonly port: number | undefined;
  /** undefined: no responses and requests are taken. */
  readonly responsePort: number | undefined;
  readonly key: Key;
  /** undefined: what the directory has, or 2. */
  readonly depth: Depth | undefined;
  /** None: tickets are kept below `root`. */
  readonly putters: readonly Address[];
  readonly datastore: DatastoreChoice;
  readonly durability: Durability;
  /** Putters and the response port speak TLS, by the key. */
  readonly peerTls?: boolean;
  /** Of the embedded datastore; without it, as limits.ts says. */
  readonly snapshots?: SnapshotChoice;
  /** The access key of root; without it, one is made at the first start. */
  readonly rootKeys?: RootKeys;
  readonly reclaim?: Partial<ReclaimSettings>;
  readonly idleTimeoutMs?: number;
  readonly spaceReserveSize?: number;
  /** The memory that bytes pass through; as limits.ts says where it is not there. */
  readonly arena?: ArenaSizes;
  /** One of several processes on the data directory. */
  readonly worker?: WorkerRole;
  /** S3 over HTTP; without it, none is served. */
  readonly s3?: Omit<S3Config, "bind"> | undefined;
}

export type Banner = readonly (readonly [label: string, value: string])[];

export interface RunningRouter {
  /** 0 where there is none: in the library, and in other workers than the first. */
  readonly streamPort: number;
  readonly responsePort: number;
  /** 0 where S3 is not served. */
  readonly s3Port: number;
  readonly gateway: RunningGateway | undefined;
  readonly router: Router;
  readonly accounts: Accounts;
  readonly banner: Banner;
  status(): Promise<RouterStatus>;
  close(): Promise<void>;
}

export async function startRouter(host: Host, config: RouterConfig): Promise<RunningRouter> {
  const closers: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse().splice(0)) await closer();
  };
  try {
    return await compose(host, config, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function compose(
  host: Host,
  config: RouterConfig,
  closers: (() => Promise<void> | void)[],
  close: () => Promise<void>,
): Promise<RunningRouter> {
  const { bind, durability, key } = config;
  const fingerprint = fingerprintOf(key);
  const kernel = new Kernel(key, config.arena);
  const { worker } = config;
  const directory = worker?.directory ?? (await openOwn(host, config, closers));
  const name = nameOf(directory.id, worker?.index ?? 0);
  const local = config.putters.length === 0 ? openLocal(host, kernel, { ...directory, id: name }, config) : undefined;
  if (local !== undefined) closers.push(() => local.close());
  const datastore = await openDatastore(
    host,
    config.datastore,
    config.root,
    durability,
    worker?.forward,
    config.snapshots,
  );
  closers.push(() => datastore.close());
  const accounts = await Accounts.open({ datastore, host, key });
  const sealing = new Sealing(key, host.random);
  const keyring = new Keyring({ datastore, sealing, random: host.random, clock: host.clock });
  const router = await Router.start({
    host,
    kernel,
    datastore,
    name,
    siblings: siblingsOf(directory.id, local, worker),
    stores: local === undefined ? [] : [local],
    ...(config.reclaim === undefined ? {} : { reclaim: config.reclaim }),
  });
  worker?.onAsked(ownPeer(router, local));
  const peers = peerHost(host, config.peerTls === true ? peerSecretOf(key) : undefined);
  const putters = findPutters(peers, kernel, fingerprint, config, router);
  closers.push(() => putters.close());
  closers.push(() => router.close());

  const counts: ResponseCounts = { accepted: 0, dropped: 0 };
  const ports: Port[] = [];
  const status = (): Promise<RouterStatus> =>
    describeStatus({ config, datastore, router, local, putters: putters.found, counts, ports, kernel, fingerprint });
  const common = {
    host,
    kernel,
    bind,
    ...(config.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: config.idleTimeoutMs }),
  };
  // Of several workers, the first one has the ports that are not shared.
  const isFirst = (worker?.index ?? 0) === 0;
  const openResponses = (port: number): Promise<Port> =>
    openResponsePort({
      ...common,
      host: peers,
      port,
      fingerprint,
      counts,
      greeting: () => ({ role: "router", id: directory.id }),
      handle: encryptionKeyRequests(keyring, userRequests(accounts, sealing, objectRequests(router, status, host.log))),
      putters: () => putters.found,
    });
  const open = (option: string, port: number | undefined, opening: (port: number) => Promise<Port>) =>
    isFirst && port !== undefined ? listen(option, bind, port, opening) : undefined;
  const responses = await open("--response-port", config.responsePort, openResponses);
  closers.push(() => responses?.close());
  // Closed first: what is under way still needs all the others.
  const openStreams = (port: number): Promise<Port> => openStreamPort({ ...common, router, port });
  const streams = await open("--port", config.port, openStreams);
  closers.push(() => streams?.close());
  for (const port of [streams, responses]) if (port !== undefined) ports.push(port);
  // Of several workers any one can be asked as soon as the shared port is open: root must be there before.
  const early = worker !== undefined && isFirst ? await accounts.ensureRoot(config.rootKeys) : undefined;
  await worker?.setUp();
  let admit!: () => void;
  const ready = new Promise<void>((resolve) => (admit = resolve));
  const gateway = await openS3(config, { host, key, datastore, router, accounts, status, ready });
  closers.push(() => gateway?.close());
  const s3Port = gateway?.listener.port ?? 0;
  const [streamPort, responsePort] = [streams?.listener.port ?? 0, responses?.listener.port ?? 0];
  // Last: its secret is shown once, by a start that succeeds. Who asks before that waits.
  const ensured = isFirst && early === undefined ? accounts.ensureRoot(config.rootKeys) : undefined;
  const root = early ?? (await ensured?.finally(admit));
  admit();
  // Remote putters are found later.
  const looking = local !== undefined && isFirst ? firstLook(router, host.log) : undefined;
  closers.push(() => looking);
  return {
    streamPort,
    responsePort,
    s3Port,
    gateway,
    router,
    accounts,
    banner: [
      ...s3Rows(config, s3Port),
      ...bannerOf(config, datastore, fingerprint, streamPort, responsePort),
      ...(root === undefined ? [] : rootRows(root, config.rootKeys !== undefined)),
    ],
    status,
    close,
  };
}

async function openS3({ s3, bind, worker }: RouterConfig, parts: S3Parts): Promise<RunningGateway | undefined> {
  if (s3 === undefined) return undefined;
  // Only who serves S3 waits for all of it to be loaded.
  const { openGateway } = await import("./s3-gateway.ts");
  return listen("--s3-port", bind, s3.port, (port) =>
    openGateway(parts, { ...s3, bind, port, withoutLifecycle: (worker?.index ?? 0) > 0 }),
  );
}

function s3Rows({ s3, bind }: RouterConfig, port: number): Banner {
  if (s3 === undefined) return [];
  const scheme = s3.tls === undefined ? "http" : "https";
  return [["S3", `${scheme}://${formatAddress({ host: bind, port })}`]];
}

async function openOwn(
  host: Host,
  { root, depth }: RouterConfig,
  closers: (() => Promise<void> | void)[],
): Promise<DataDirectory> {
  const directory = await openDataDirectory(host.disk, host.random, { root, depth, depthDefault: 2 });
  closers.push(() => directory.lock.release());
  return directory;
}

function openLocal(
  host: Host,
  kernel: Kernel,
  directory: Pick<DataDirectory, "root" | "depth" | "id">,
  config: RouterConfig,
): VolumeStore {
  const { durability, spaceReserveSize } = config;
  return new VolumeStore({
    host,
    kernel,
    directory,
    durability,
    ...(spaceReserveSize === undefined ? {} : { spaceReserveSize }),
  });
}

/** Looks for the putters in the background; the router takes each one when it answers. */
function findPutters(
  host: Host,
  kernel: Kernel,
  fingerprint: string,
  config: RouterConfig,
  router: Router,
): { found: RemotePutter[]; close: () => Promise<void> } {
  const abort = new AbortController();
  const found: RemotePutter[] = [];
  const reclaimRate = config.reclaim?.rate ?? limits.reclaimRate;
  const searches = config.putters.map(async (address) => {
    const putter = await RemotePutter.find({ host, kernel, fingerprint, address, reclaimRate }, abort.signal);
    if (putter === undefined) return;
    try {
      router.addStore(putter);
      found.push(putter);
      host.log.info("putter found", { putter: putter.place, id: putter.id });
    } catch (error) {
      host.log.error("putter not used", { putter: putter.place, error: messageOf(error) });
      putter.close();
    }
  });
  return {
    found,
    close: async () => {
      abort.abort();
      await Promise.all(searches);
      for (const putter of found) putter.close();
    },
  };
}

/** Says which option is in question when a port cannot be had. */
export async function listen<Opened>(
  option: string,
  bind: string,
  port: number,
  open: (port: number) => Promise<Opened>,
): Promise<Opened> {
  try {
    return await open(port);
  } catch (error) {
    const code = (error as { code?: string }).code;
    const why = code === "EADDRINUSE" ? "something else listens there already" : messageOf(error);
    const where = formatAddress({ host: bind, port });
    throw new StoreError("UNAVAILABLE", `${option}: cannot listen on ${where}: ${why}`, { cause: error });
  }
}

function bannerOf(
  config: RouterConfig,
  datastore: Datastore,
  fingerprint: string,
  streamPort: number,
  responsePort: number,
): Banner {
  const { bind, putters } = config;
  const data = putters.length === 0 ? config.root : `on ${putters.map(formatAddress).join(", ")}`;
  const host = bind === "0.0.0.0" || bind === "::" ? "127.0.0.1" : bind;
  return [
    ["streams", `${formatAddress({ host: bind, port: streamPort })} (tcp: send the bytes of one object, half-close)`],
    ["objects and responses", formatAddress({ host: bind, port: responsePort })],
    ["data", data],
    ["datastore", datastore.description],
    peersRow(config),
    ["durability", describeDurability(config.durability, datastore.durabilityGap)],
    ["key fingerprint", fingerprint],
    ["store a file", `nc -N ${host} ${streamPort} < FILE`],
  ];
}

export function peersRow({ peerTls }: { readonly peerTls?: boolean }): Banner[number] {
  return ["peers", peerTls === true ? "TLS with the store's key" : "plain TCP (--peer-tls: TLS with the store's key)"];
}

export function describeDurability(durability: Durability, gap: string | undefined): string {
  if (durability === "os")
    return "os: OK is said BEFORE the disk has the bytes; a power cut can lose them, and damage the datastore";
  return gap === undefined ? "disk: OK is said when the disk has it" : `disk, BUT: ${gap}`;
}

async function describeStatus(parts: {
  config: RouterConfig;
  datastore: Datastore;
  router: Router;
  local: VolumeStore | undefined;
  putters: readonly RemotePutter[];
  counts: ResponseCounts;
  ports: readonly Port[];
  kernel: Kernel;
  fingerprint: string;
}): Promise<RouterStatus> {
  const { config, datastore, router, local, putters, counts, ports, kernel, fingerprint } = parts;
  const stores = router.stores.map(async (store) => ({
    id: store.id,
    place: store.place,
    available: store.available,
    freeSpace: await store.freeSpace().catch(() => undefined),
  }));
  return {
    datastore: datastore.description,
    durability: describeDurability(config.durability, datastore.durabilityGap),
    fingerprint,
    counters: await datastore.counters(),
    snapshots: await (config.worker?.snapshots() ?? datastore.snapshots?.()),
    putters: await Promise.all(stores),
    tickets: local?.counts,
    volumes: local?.volumeCounts,
    reads: { damaged: router.damagedReadCount },
    responses: { ...counts, unexpected: putters.reduce((sum, putter) => sum + putter.droppedCount, 0) },
    reclaim: router.reclaimer.status,
    connections: ports.reduce((sum, { listener }) => sum + listener.connectionCount, 0),
    freeBuffers: { tiny: kernel.freeCount("tiny"), block: kernel.freeCount("block"), group: kernel.freeCount("group") },
  };
}
