/** A network that works, and tells or delays on the way: what a connection does is what it does beneath, but for `changes`. */
import type { Connection, Host, Receiver } from "../../src/env/host.ts";

export function wrapped(connection: Connection, changes: Partial<Connection>): Connection {
  return {
    remoteHost: connection.remoteHost,
    remotePort: connection.remotePort,
    start: (receiver) => connection.start(receiver),
    resume: () => connection.resume(),
    write: (bytes) => connection.write(bytes),
    end: () => connection.end(),
    destroy: () => connection.destroy(),
    ...changes,
  };
}

/** Calls after what was received has been handed on: bytes, or the end. */
export function watched(connection: Connection, call: (what: "bytes" | "end") => void): Connection {
  const start = (receiver: Receiver): void =>
    connection.start({
      bytes: (chunk) => {
        const taken = receiver.bytes(chunk);
        call("bytes");
        return taken;
      },
      end: () => {
        receiver.end();
        call("end");
      },
      closed: (error) => receiver.closed(error),
    });
  return wrapped(connection, { start });
}

/** Connections that are accepted go through `wrap`. */
export function withAccepted(host: Host, wrap: (connection: Connection, port: number) => Connection): Host {
  const { network } = host;
  return {
    ...host,
    network: {
      connect: (options) => network.connect(options),
      listen: (options, accept) => network.listen(options, (one) => accept(wrap(one, options.port))),
    },
  };
}
