/** The product's two roles as the simulator starts them: the parts that compose/ puts together, without node's own. */
import { messageOf } from "../../src/core/errors.ts";
import type { Address } from "../../src/core/address.ts";
import { type ArenaSizes, Kernel } from "../../src/core/kernel.ts";
import { fingerprintOf, type Key } from "../../src/core/key.ts";
import type { Depth } from "../../src/core/layout.ts";
import type { ReclaimOutcome, TicketStore } from "../../src/core/ticket-store.ts";
import type { Datastore } from "../../src/datastore/datastore.ts";
import { Putter } from "../../src/putter/putter.ts";
import { objectRequests } from "../../src/router/object-requests.ts";
import type { ReclaimSettings } from "../../src/router/reclaimer.ts";
import { RemotePutter } from "../../src/router/remote-putter.ts";
import { openResponsePort } from "../../src/router/response-port.ts";
import { Router } from "../../src/router/router.ts";
import { openStreamPort } from "../../src/router/stream-port.ts";
import { openDataDirectory } from "../../src/volume/data-directory.ts";
import { VolumeStore } from "../../src/volume/volume-store.ts";
import type { SimulatedHost } from "../simulated-host.ts";
import type { Closable } from "./process.ts";

export const dataRoot = "/srv/data";
export const streamPort = 5001;
export const responsePort = 5002;
export const putterPort = 5000;

export interface RunningRouterRole extends Closable {
  readonly router: Router;
  readonly datastore: Datastore;
  readonly kernel: Kernel;
  readonly arena: ArenaSizes;
  /** undefined: its tickets go to putters. */
  readonly local: VolumeStore | undefined;
  readonly putters: readonly RemotePutter[];
}

export interface RunningPutterRole extends Closable {
  readonly kernel: Kernel;
  readonly arena: ArenaSizes;
  readonly store: VolumeStore;
}

export interface RouterSettings {
  readonly key: Key;
  readonly arena: ArenaSizes;
  readonly depth: Depth;
  /** None: tickets are kept below its own root. */
  readonly putters: readonly Address[];
  readonly openDatastore: (host: SimulatedHost) => Promise<Datastore>;
  /** Lets checkers see what the router asks of its stores. */
  readonly watch: (store: TicketStore) => TicketStore;
  readonly reclaim: Partial<ReclaimSettings>;
  readonly openVolumesMax: number;
  readonly idleTimeoutMs: number;
}

export async function bootRouter(host: SimulatedHost, settings: RouterSettings): Promise<RunningRouterRole> {
  const { key, arena, depth, putters: addresses, openVolumesMax, idleTimeoutMs } = settings;
  const fingerprint = fingerprintOf(key);
  const kernel = new Kernel(key, arena);
  const where = { root: dataRoot, depth: undefined, depthDefault: depth };
  const directory = await openDataDirectory(host.disk, host.random, where);
  const local =
    addresses.length > 0
      ? undefined
      : new VolumeStore({ host, kernel, directory, durability: "disk", openVolumesMax, spaceReserveSize: 0 });
  const datastore = await settings.openDatastore(host);
  const router = await Router.start({
    host,
    kernel,
    datastore,
    name: directory.id,
    stores: local === undefined ? [] : [settings.watch(local)],
    reclaim: settings.reclaim,
  });
  const abort = new AbortController();
  const putters: RemotePutter[] = [];
  const reclaimRate = settings.reclaim.rate ?? 1e9;
  const searches = addresses.map(async (address) => {
    const putter = await RemotePutter.find({ host, kernel, fingerprint, address, reclaimRate }, abort.signal);
    if (putter === undefined) return;
    router.addStore(settings.watch(putter));
    putters.push(putter);
  });
  const common = { host, kernel, bind: host.network.host, idleTimeoutMs };
  const responses = await openResponsePort({
    ...common,
    port: responsePort,
    fingerprint,
    counts: { accepted: 0, dropped: 0 },
    greeting: () => ({ role: "router", id: directory.id }),
    handle: objectRequests(router, async () => ({})),
    putters: () => putters,
  });
  const streams = await openStreamPort({ ...common, router, port: streamPort });
  const close = async (): Promise<void> => {
    await streams.close();
    await responses.close();
    await router.close();
    abort.abort();
    await Promise.all(searches);
    for (const putter of putters) putter.close();
    await datastore.close();
    await local?.close();
    await directory.lock.release();
  };
  return { router, datastore, kernel, arena, local, putters, close };
}

export interface PutterSettings {
  readonly key: Key;
  readonly arena: ArenaSizes;
  readonly depth: Depth;
  readonly respondTo: Address | undefined;
  readonly openVolumesMax: number;
  readonly idleTimeoutMs: number;
}

export async function bootPutter(host: SimulatedHost, settings: PutterSettings): Promise<RunningPutterRole> {
  const { key, arena, depth, respondTo, openVolumesMax, idleTimeoutMs } = settings;
  const kernel = new Kernel(key, arena);
  const where = { root: dataRoot, depth: undefined, depthDefault: depth };
  const directory = await openDataDirectory(host.disk, host.random, where);
  const store = new VolumeStore({ host, kernel, directory, durability: "disk", openVolumesMax, spaceReserveSize: 0 });
  const putter = await Putter.start({
    host,
    kernel,
    fingerprint: fingerprintOf(key),
    store,
    bind: host.network.host,
    port: putterPort,
    respondTo,
    idleTimeoutMs,
  });
  const close = async (): Promise<void> => {
    await putter.close();
    await store.close();
    await directory.lock.release();
  };
  return { kernel, arena, store, close };
}

export interface StoreWatch {
  /** Before it is handed to the store. */
  readonly onWrite: (first: number, count: number) => void;
  readonly onReclaimed: (outcome: ReclaimOutcome) => void;
}

/** A store as a router has it, with what is asked of it seen. */
export function watched(store: TicketStore, { onWrite, onReclaimed }: StoreWatch): TicketStore {
  return {
    id: store.id,
    place: store.place,
    get available() {
      return store.available;
    },
    write(batch) {
      onWrite(batch.first, batch.count);
      return store.write(batch);
    },
    read: (first, count, data, sums) => store.read(first, count, data, sums),
    readNow: (first, count, data, sums) => store.readNow(first, count, data, sums),
    async reclaim(first, end, live, pace) {
      const outcome = await store.reclaim(first, end, live, pace);
      onReclaimed(outcome);
      return outcome;
    },
    freeSpace: () => store.freeSpace(),
  };
}

export function describeError(error: unknown): string {
  const code = (error as { code?: string } | undefined)?.code ?? "";
  return `${code} ${messageOf(error)}`;
}
