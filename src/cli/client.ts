/** One conversation with a router's response port, for commands: with a key, a patience, and an end. */
import { formatAddress } from "../core/address.ts";
import { StoreError } from "../core/errors.ts";
import { formatId, type ObjectId, parseId } from "../core/ids.ts";
import { Kernel } from "../core/kernel.ts";
import { fingerprintOf, type Key, peerSecretOf } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import type { Connection, Host } from "../env/host.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import { peerHost } from "../env/peer-host.ts";
import { type ObjectSummary, statAnswer } from "../router/object-answers.ts";
import { readAnswer, type Shape } from "../wire/answer-shape.ts";
import { type AnswerPart, RequestClient } from "../wire/request-client.ts";
import { type CommandContext, note } from "./context.ts";
import { usageError } from "./exit.ts";
import { clientKey } from "./key-file.ts";

/** A router that says nothing for so long while it is asked is given up. */
const silenceMsMax = 60_000;

/** Blocks: those read ahead, and those on their way to disk or standard output. */
const clientArena = { tiny: 1, block: 16, group: 0 };

export interface StoreClient {
  readonly kernel: Kernel;
  readonly key: Key;
  readonly where: string;
  readonly fingerprint: string;
  ask(operation: string, numbers?: Numbers): AsyncGenerator<AnswerPart>;
  /** For what is answered by one JSON value. PROTOCOL where it has another shape. */
  askFor<Value>(operation: string, shape: Shape<Value>, numbers?: Numbers, body?: Uint8Array): Promise<Value>;
  close(): void;
}

export interface Numbers {
  readonly a?: number;
  readonly b?: number;
  readonly c?: number;
}

/** Connects to the router of `--host` and `--port`, does the work, hangs up. `signal` hangs up at once. */
export async function withRouter<Value>(
  context: CommandContext,
  work: (client: StoreClient) => Promise<Value>,
  signal?: AbortSignal,
): Promise<Value> {
  const { settings } = context;
  const { key, notes } = await clientKey(settings);
  for (const text of notes) note(context, `warning: ${text}`);
  const kernel = new Kernel(key, clientArena);
  const address = { host: settings.get("host"), port: settings.get("requestPort") };
  const fingerprint = fingerprintOf(key);
  const client = await connectPatiently(cliHost(context, key), kernel, fingerprint, address);
  const stop = (): void => client.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    if (signal?.aborted === true) client.close();
    return await work({
      kernel,
      key,
      where: formatAddress(address),
      fingerprint,
      ask: (operation, numbers) => client.ask(operation, numbers),
      askFor: async (operation, shape, numbers, body) =>
        readAnswer(operation, shape, await client.askJson(operation, numbers, body)),
      close: stop,
    });
  } catch (error) {
    throw signal?.aborted === true ? new StoreError("ABORTED", "stopped", { cause: error }) : error;
  } finally {
    signal?.removeEventListener("abort", stop);
    client.close();
  }
}

/** All that is known of an object; undefined where there is none. */
export async function summaryOf(client: StoreClient, id: ObjectId): Promise<ObjectSummary | undefined> {
  const summary = await client.askFor("stat", statAnswer, { a: id });
  if (summary === null) return undefined;
  if (summary.object === formatId(id)) return summary;
  throw new StoreError(
    "PROTOCOL",
    `${client.where} told of object ${summary.object}, where ${formatId(id)} was asked for`,
  );
}

/** The items of all the lists that a request is answered by. */
export async function gathered<Item>(
  client: StoreClient,
  operation: string,
  listIn: (value: unknown) => readonly Item[],
): Promise<Item[]> {
  const items: Item[] = [];
  for await (const part of client.ask(operation)) {
    if (part.kind === "tickets") {
      part.buffer.release();
      throw new StoreError("PROTOCOL", `${operation}: answered by tickets`);
    }
    for (const item of listIn(part.value)) items.push(item);
    if (items.length > limits.listedMax) {
      throw new StoreError("PROTOCOL", `${client.where} lists more than ${limits.listedMax}`);
    }
  }
  return items;
}

/** This machine, as a command has it that talks to routers or servers. */
export function cliHost({ settings }: CommandContext, key: Key): Host {
  return peerHost(nodeHost(silentLog), settings.get("peerTls") ? peerSecretOf(key) : undefined);
}

/** Connects; what takes connections but does not greet is an error too, and soon. */
export async function connectPatiently(
  host: Host,
  kernel: Kernel,
  fingerprint: string,
  address: { readonly host: string; readonly port: number },
): Promise<RequestClient> {
  let connection: Connection | undefined;
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    connection?.destroy();
  }, limits.connectTimeoutMs);
  const network: Host["network"] = {
    ...host.network,
    connect: async (options) => (connection = await host.network.connect(options)),
  };
  try {
    return await RequestClient.connect({
      host: { ...host, network },
      kernel,
      fingerprint,
      address,
      answerTimeoutMs: silenceMsMax,
    });
  } catch (error) {
    if (!silent || connection === undefined) throw error;
    const what = `${formatAddress(address)} takes connections but does not answer as data-putter does`;
    throw new StoreError("UNAVAILABLE", `${what}: is it the right port?`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** The ids among the operands; all that are none are named. */
export function objectIds(operands: readonly string[]): ObjectId[] {
  const ids = operands.map((text) => parseId<ObjectId>(text));
  const wrong = operands.filter((_, index) => ids[index] === undefined);
  if (wrong.length > 0) {
    throw usageError(wrong.map((text) => `OBJECT: 1 to 8 characters of 0-9 and A-Z, not ${JSON.stringify(text)}`));
  }
  return ids as ObjectId[];
}
