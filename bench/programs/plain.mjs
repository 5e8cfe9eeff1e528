/**
 * The baseline for bytes over sockets: what anyone writes in Node in ten lines. A socket piped into a file that is
 * synced once at the end, and a file piped into a socket.
 */
import { createReadStream, createWriteStream, fsync, mkdirSync, rmSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import { answer } from "../support/answer.mjs";

const servers = [];

answer({
  /** Each connection's bytes go into a file of their own; `OK` when it is on disk. */
  receive: ({ directory }) => {
    let number = 0;
    return listen({ allowHalfOpen: true }, (socket) => {
      const file = createWriteStream(path.join(directory, String(number++)), { autoClose: false });
      socket.pipe(file);
      file.on("finish", () => {
        void promisify(fsync)(file.fd).then(() => {
          file.close();
          socket.end("OK\n");
        });
      });
      socket.on("error", () => file.close());
    });
  },
  send: ({ file }) =>
    listen({}, (socket) =>
      createReadStream(file)
        .pipe(socket)
        .on("error", () => socket.destroy()),
    ),
  clear: ({ directory }) => {
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
  },
  close: () => {
    for (const server of servers) server.close();
  },
});

async function listen(options, serve) {
  const server = net.createServer(options, serve);
  servers.push(server);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port };
}
