/** A Host as the peers of a store have it: whatever connects or listens through it does so with their secret. */
import * as limits from "../core/limits.ts";
import type { Host, PeerSecret } from "./host.ts";

/** Without a secret, the host itself. */
export function peerHost(host: Host, secret: PeerSecret | undefined): Host {
  if (secret === undefined) return host;
  const { network } = host;
  return {
    ...host,
    network: {
      connect: (options) => network.connect({ ...options, secret }),
      listen: (options, accept) => {
        const onRefused = refusalLog(host, "connection refused", options.port);
        return network.listen({ ...options, secret, onRefused }, accept);
      },
    },
  };
}

/** Tells of one refusal now and then, and how many there were since the last one: who knocks does not fill the log. */
export function refusalLog({ clock, log }: Host, message: string, port: number): (from: string, why: string) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (from, why) => {
    const now = clock.monotonic();
    if (now - saidAt < limits.refusalLogMs) {
      untold++;
      return;
    }
    log.warn(message, { port, from, why, ...(untold === 0 ? {} : { untold }) });
    saidAt = now;
    untold = 0;
  };
}
