/** `server`: a Putter Node. */
import type { Command, CommandContext } from "./context.ts";
import type { ExitCode } from "./exit.ts";
import { runService } from "./service.ts";

export const server: Command = {
  name: "server",
  summary: "run a putter: WriteTickets in on tcp/5000, onto the disk below --root",
  description: `Takes WriteTickets (1474 bytes: id, keyed checksum, 1458 bytes of data), puts each on disk, and answers with a status when
it is there. Its files lie in the directory that it is started in, or --root; ordinary tools can read them.

It needs the key of whoever sends: copy the router's key file, or start it once to make a key and give that to the router.

SIGINT or SIGTERM closes it: what has been sent whole is still answered, the rest is refused; a second one ends at once.`,
  examples: [
    ["server", "in this directory, for programs on this machine"],
    ["server --root /srv/tickets --depth 2 --bind 0.0.0.0 --key-file key", "for a router on another machine"],
    ["server --respond-to 10.0.0.9:5002 --key-file key", "answers go to a router's response port"],
  ],
  run: runServer,
};

function runServer(context: CommandContext): Promise<ExitCode> {
  const { settings } = context;
  return runService(context, "server", async (host, root, key) => {
    // Only who runs one waits for all of it to be loaded.
    const { startServer } = await import("../compose/server-process.ts");
    const running = await startServer(host, {
      root,
      key,
      bind: settings.get("bind"),
      port: settings.get("listenPort"),
      depth: settings.find("depth"),
      respondTo: settings.find("respondTo"),
      durability: settings.get("durability"),
      peerTls: settings.get("peerTls"),
    });
    const { banner, port } = running;
    return { banner, ports: { port }, close: () => running.close() };
  });
}
