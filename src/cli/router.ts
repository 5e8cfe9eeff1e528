/** `router`: a single-node object store in one process. */
import type { Command, CommandContext } from "./context.ts";
import type { ExitCode } from "./exit.ts";
import { runService } from "./service.ts";

export const router: Command = {
  name: "router",
  summary: "run an object store: byte streams in on tcp/5001, objects out on tcp/5002",
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
    ["router --config store.yaml", "options from a file"],
  ],
  run: runRouter,
};

function runRouter(context: CommandContext): Promise<ExitCode> {
  const { settings } = context;
  return runService(context, "router", async (host, root, key) => {
    // Only who runs one waits for all of it to be loaded.
    const { startRouter } = await import("../compose/router-process.ts");
    const running = await startRouter(host, {
      root,
      key,
      bind: settings.get("bind"),
      port: settings.get("listenPort"),
      responsePort: settings.get("responsePort"),
      depth: settings.find("depth"),
      putters: settings.find("putters") ?? [],
      datastore: settings.get("datastore"),
      durability: settings.get("durability"),
    });
    const { banner, streamPort, responsePort } = running;
    return { banner, ports: { streamPort, responsePort }, close: () => running.close() };
  });
}
