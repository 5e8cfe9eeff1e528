import net from "node:net";

/** Not one that the system hands to clients (ip_local_port_range), so that it is still free after a crash. */
export function freePort() {
  return new Promise((resolve) => {
    const attempt = () => {
      const server = net.createServer();
      const port = 20_000 + Math.floor(Math.random() * 10_000);
      server.on("error", attempt);
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
    };
    attempt();
  });
}
