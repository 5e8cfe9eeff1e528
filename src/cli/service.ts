/** What `router` and `server` have in common: the key, the banner, running until they are asked to stop. */
import path from "node:path";
import type { Banner } from "../compose/router-process.ts";
import { fingerprintOf, type Key } from "../core/key.ts";
import type { Host } from "../env/host.ts";
import { nodeHost } from "../env/node-host.ts";
import { nodeLog } from "../env/node-log.ts";
import { type CommandContext, note } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { serviceKey } from "./key-file.ts";
import { untilAborted, withStop } from "./signals.ts";

export interface Service {
  readonly banner: Banner;
  /** For `--json`: the ports that it listens on, by name. */
  readonly ports: { readonly [name: string]: number };
  close(): Promise<void>;
}

export type StartService = (host: Host, root: string, key: Key) => Promise<Service>;

export function runService(context: CommandContext, role: string, start: StartService): Promise<ExitCode> {
  return withStop(async (stop) => {
    const { settings } = context;
    const host = nodeHost(nodeLog(settings.get("logLevel")));
    const root = path.resolve(settings.get("root"));
    const { key, source, notes } = await serviceKey(settings, root, host.random);
    for (const text of notes) note(context, `data-putter ${role}: ${text}`);
    const service = await start(host, root, key);
    try {
      await showBanner(context, role, service, { root, fingerprint: fingerprintOf(key), keySource: source });
      await untilAborted(stop);
      note(context, `data-putter ${role}: closing (a second Ctrl-C ends it at once)`);
    } finally {
      await service.close();
    }
    return ExitCode.ok;
  });
}

async function showBanner(
  context: CommandContext,
  role: string,
  { banner, ports }: Service,
  facts: { readonly root: string; readonly fingerprint: string; readonly keySource: string },
): Promise<void> {
  const { output, settings } = context;
  try {
    if (settings.has("json")) {
      await output.json({ role, pid: process.pid, ...ports, ...facts, banner: Object.fromEntries(banner) });
      return;
    }
    const lines = [...banner, ["key from", facts.keySource] as const];
    const width = Math.max(...lines.map(([label]) => label.length));
    const text = lines.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`);
    await output.line([`data-putter ${role}`, ...text].join("\n"));
  } catch (error) {
    // Whoever started it does not want to read: no reason not to serve.
    if (!output.closed) throw error;
  }
}
