/** `startServer`: the S3 gateway over a data directory or over nothing, for tests and for programs that bring their own. */
import path from "node:path";
import { type RunningRouter, startRouter } from "../compose/router-process.ts";
import { formatAddress } from "../core/address.ts";
import { StoreError } from "../core/errors.ts";
import type { ArenaSizes } from "../core/kernel.ts";
import { type Key, keyOf, keySize } from "../core/key.ts";
import type { Host } from "../env/host.ts";
import { keyOfDirectory } from "../env/node-key-file.ts";
import { silentLog } from "../env/silent-log.ts";
import type { Services } from "../gateways/s3/operation.ts";
import { markerName } from "../volume/data-directory.ts";
import { alive } from "./alive.ts";
import { givenKey, hostOf } from "./given.ts";
import { makeMemoryDirectory, type MemoryDirectory } from "./memory-directory.ts";
import type { ClientConfig, Server, ServerUser, StartServerOptions } from "./server.ts";
import type { Credentials } from "./store.ts";

/** Of servers that keep nothing: what s3rver has. */
const memoryKey = "S3RVER";

/** 10 MB at most, used as it is needed: there can be many in one process. */
const arena: ArenaSizes = { tiny: 64, block: 24, group: 1 };

/**
 * Starts a server on a port of its own. INVALID names the option that is wrong; otherwise as `openStore`, and UNAVAILABLE where
 * the port cannot be had.
 */
export function startServer(options: StartServerOptions): Promise<Server> {
  return alive(() => start(options));
}

async function start(options: StartServerOptions): Promise<Server> {
  const host = hostOf(options.log ?? silentLog, options.clock);
  const place = await placeOf(options, host);
  try {
    const running = await startRouter(host, {
      root: place.root,
      key: place.key,
      durability: place.durability,
      arena,
      bind: options.host ?? "127.0.0.1",
      port: undefined,
      responsePort: undefined,
      depth: undefined,
      putters: [],
      datastore: { kind: "embedded" },
      ...rootKeysOf(options),
      s3: s3Of(options),
    });
    try {
      return await serve(running, options, async () => place.memory?.remove());
    } catch (error) {
      await running.close();
      throw error;
    }
  } catch (error) {
    await place.memory?.remove();
    throw error;
  }
}

interface Place {
  readonly root: string;
  readonly key: Key;
  readonly durability: "disk" | "os";
  readonly memory?: MemoryDirectory;
}

async function placeOf(options: StartServerOptions, { random }: Host): Promise<Place> {
  const { root: given, inMemory = false }: { readonly root?: unknown; readonly inMemory?: boolean } = options;
  if (inMemory && given === undefined) {
    const memory = await makeMemoryDirectory();
    return { root: memory.directory, key: keyOf(random.bytes(keySize)), durability: "os", memory };
  }
  if (inMemory || typeof given !== "string" || given === "" || options.inMemory === true) {
    throw new StoreError("INVALID", "root, inMemory: either a directory, or inMemory: true");
  }
  const root = path.resolve(given);
  const { key } = await keyOfDirectory(root, givenKey(options.key), markerName, random);
  return { root, key, durability: options.durability ?? "disk" };
}

function rootKeysOf({ accessKeyId, secretAccessKey, inMemory }: StartServerOptions) {
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new StoreError("INVALID", "accessKeyId, secretAccessKey: both or none");
  }
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { rootKeys: { accessKey: accessKeyId, secretKey: secretAccessKey } };
  }
  return inMemory === true ? { rootKeys: { accessKey: memoryKey, secretKey: memoryKey } } : {};
}

function s3Of({ port = 0, tls, limits, region, domains, dayMs, clock }: StartServerOptions) {
  return {
    port,
    ...(tls === undefined ? {} : { tls }),
    ...(limits === undefined ? {} : { limits }),
    ...(clock === undefined ? {} : { tellsTime: true }),
    settings: {
      ...(region === undefined ? {} : { region }),
      ...(domains === undefined ? {} : { domains }),
      ...(dayMs === undefined ? {} : { dayMs }),
    },
  };
}

async function serve(
  running: RunningRouter,
  options: StartServerOptions,
  removeMemory: () => Promise<void>,
): Promise<Server> {
  const { accounts, s3Port: port } = running;
  const gateway = running.gateway!;
  const { buckets = [] } = options;
  const users: { [name: string]: Credentials } = {};
  for (const user of options.users ?? []) users[user.name] = await addUser(gateway.services, user);
  const { accessKey: root } = await accounts.ensureRoot();
  const credentials = { accessKeyId: root.accessKey, secretAccessKey: root.secretKey };
  // Only who starts a server waits for all of S3 to be loaded.
  const { emptyStore, makeBuckets } = await import("./server-buckets.ts");
  await makeBuckets(gateway.services, root, buckets);
  const { region } = gateway.services.settings;
  const config: ClientConfig = { endpoint: endpointOf(options, port), region, credentials, forcePathStyle: true };
  let closing: Promise<void> | undefined;
  const closeAll = async (): Promise<void> => {
    try {
      await running.close();
    } finally {
      await removeMemory();
    }
  };
  const close = (): Promise<void> => (closing ??= alive(closeAll));
  return {
    ...config,
    ...credentials,
    port,
    config,
    users,
    reset: async () => {
      await emptyStore(gateway.services);
      await makeBuckets(gateway.services, root, buckets);
    },
    runLifecycle: () => gateway.lifecycle.run(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function endpointOf({ host = "127.0.0.1", tls }: StartServerOptions, port: number): string {
  const reached = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `${tls === undefined ? "http" : "https"}://${formatAddress({ host: reached, port })}`;
}

/** One that is there already keeps the access key that it has. */
async function addUser({ accounts }: Services, user: ServerUser): Promise<Credentials> {
  const { accessKeyId, secretAccessKey, ...rest } = user;
  const known = (await accounts.list()).find(({ user: name }) => name === user.name);
  const key =
    known === undefined
      ? await accounts.add({ ...rest, accessKey: accessKeyId, secretKey: secretAccessKey })
      : await accounts.find(known.accessKey);
  if (key === undefined) throw new StoreError("CONFLICT", `user ${user.name} was removed just now`);
  return { accessKeyId: key.accessKey, secretAccessKey: key.secretKey };
}
