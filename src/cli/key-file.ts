/** Where the shared key of a command is found, and which one a service makes. */
import path from "node:path";
import { StoreError } from "../core/errors.ts";
import { type FoundKey, keyOfDirectory, readKeyFile } from "../env/node-key-file.ts";
import type { Random } from "../env/host.ts";
import { markerName } from "../volume/data-directory.ts";
import type { Settings } from "./settings.ts";

/** Where client commands look, in this order. */
export const clientKeyFiles: readonly string[] = ["data/key", "key"].map((name) => path.normalize(name));

/** The key of a router or server; makes one at the first start where none is given. */
export async function serviceKey(settings: Settings, root: string, random: Random): Promise<FoundKey> {
  return keyOfDirectory(root, await givenKey(settings), markerName, random);
}

/** The key of a client command. */
export async function clientKey(settings: Settings): Promise<FoundKey> {
  const given = await givenKey(settings);
  if (given !== undefined) return given;
  for (const file of clientKeyFiles) {
    const found = await readKeyFile(file);
    if (found !== undefined) return found;
  }
  const tried = clientKeyFiles.join(" nor ");
  const advice = "give the store's key with --key-file FILE or DATA_PUTTER_KEY (a router made it as ROOT/key)";
  throw new StoreError("INVALID", `no key: neither ${tried} is there; ${advice}`);
}

/** From DATA_PUTTER_KEY or the file that an option names. */
async function givenKey(settings: Settings): Promise<FoundKey | undefined> {
  const key = settings.find("key");
  const file = settings.find("keyFile");
  if (key !== undefined && (file === undefined || settings.originOf("keyFile") === "file")) {
    return { key, source: settings.sourceOf("key"), notes: [] };
  }
  if (file === undefined) return undefined;
  const found = await readKeyFile(file);
  if (found !== undefined) return found;
  throw new StoreError(
    "INVALID",
    `${settings.sourceOf("keyFile")}: there is no key file ${file}; "data-putter key make" makes one`,
  );
}
