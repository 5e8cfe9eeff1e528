/** `openStore`: a data directory in this process, without any port. */
import path from "node:path";
import { startRouter } from "../compose/router-process.ts";
import { defaultSettings } from "../compose/s3-settings.ts";
import { StoreError } from "../core/errors.ts";
import type { ArenaSizes } from "../core/kernel.ts";
import type { Clock, Log } from "../env/host.ts";
import { openNodeDigests } from "../env/node-digests.ts";
import { keyOfDirectory } from "../env/node-key-file.ts";
import { silentLog } from "../env/silent-log.ts";
import { Access } from "../gateways/s3/access/access.ts";
import { Sealing } from "../gateways/s3/auth/sealing.ts";
import { Keyring } from "../gateways/s3/encryption/keyring.ts";
import type { Services } from "../gateways/s3/operation.ts";
import { markerName } from "../volume/data-directory.ts";
import { alive } from "./alive.ts";
import { givenKey, hostOf } from "./given.ts";
import { LocalStore } from "./local-store.ts";
import type { Store } from "./store.ts";

export interface OpenStoreOptions {
  /** The data directory, as of `data-putter router --root`; it is made where it is not there. One process at a time can have it. */
  readonly root: string;
  /** `disk` (default): what was acknowledged survives a power cut. `os`: faster; a power cut can lose and damage data. */
  readonly durability?: "disk" | "os";
  /** The store's key, 32 hex digits; without it the file `key` in the directory, which is made at the first opening. */
  readonly key?: string;
  /** What is done in the background and cannot be told to a caller. Nothing is logged by default. */
  readonly log?: Log;
  /** `fakeClock()` in tests. */
  readonly clock?: Clock;
}

/** 21 MB at most, used as it is needed: half of what a server has. */
const arena: ArenaSizes = { tiny: 128, block: 32, group: 4 };

/**
 * Opens a store. INCOMPATIBLE where a process or this one has it open already, or another version made it; WRONG_KEY; INVALID
 * where its key is missing; UNAVAILABLE where the directory cannot be used.
 */
export function openStore(options: OpenStoreOptions): Promise<Store> {
  return alive(() => open(options));
}

async function open(options: OpenStoreOptions): Promise<Store> {
  const { durability = "disk", log = silentLog } = options;
  if (typeof options.root !== "string" || options.root === "") {
    throw new StoreError("INVALID", "root: a directory must be named");
  }
  const root = path.resolve(options.root);
  const host = hostOf(log, options.clock);
  const { key } = await keyOfDirectory(root, givenKey(options.key), markerName, host.random);
  const running = await startRouter(host, {
    root,
    key,
    durability,
    arena,
    bind: "127.0.0.1",
    port: undefined,
    responsePort: undefined,
    depth: undefined,
    putters: [],
    datastore: { kind: "embedded" },
  });
  const { router, accounts } = running;
  const { datastore } = router;
  const digests = await openNodeDigests();
  const sealing = new Sealing(key, host.random);
  const services: Services = {
    host,
    router,
    datastore,
    accounts,
    access: new EveryAccess(),
    digests,
    keyring: new Keyring({ datastore, sealing, random: host.random, clock: host.clock }),
    settings: defaultSettings,
  };
  const close = async (): Promise<void> => {
    await running.close();
    await digests.close();
  };
  return new LocalStore({ root, services, close });
}

/** Whoever can open the directory can read all that is in it anyway. */
class EveryAccess extends Access {
  override allowed(): boolean {
    return true;
  }
}
