/**
 * nginx with its DAV module (Debian: nginx-light), one worker: PUT writes a file beside its place and renames it, GET
 * sends it. It knows nothing of signatures, digests or syncs: what serving files costs at all.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { freePort } from "../../support/ports.mjs";
import { ServerProcess } from "../../support/server-process.mjs";

/** Debian installs it where only root's PATH looks. */
const searchPath = `${process.env.PATH}:/usr/local/sbin:/usr/sbin`;

export const nginx = {
  name: "nginx DAV",
  promise: "not synced",
  /** Created, or replaced. */
  putStatus: [201, 204],
  isS3: false,
  /** Why it cannot be run, or undefined. */
  problem: () => {
    const { status, stderr } = spawnSync("nginx", ["-V"], {
      encoding: "utf8",
      env: { ...process.env, PATH: searchPath },
    });
    if (status !== 0) return "it is not installed (apt-get install nginx-light)";
    return stderr.includes("http_dav_module") ? undefined : "it was built without its DAV module";
  },
  start: async (context) => {
    const directory = context.directory("nginx");
    const port = await freePort();
    for (const name of ["files", "temporary"]) mkdirSync(path.join(directory, name));
    const file = path.join(directory, "nginx.conf");
    writeFileSync(file, configuration(directory, port));
    const server = await ServerProcess.start({
      name: "nginx",
      command: "nginx",
      args: ["-p", directory, "-e", path.join(directory, "error.log"), "-c", file],
      env: { PATH: searchPath },
      port,
    });
    return Object.assign(server, { kind: nginx, access: { key: "none", secret: "none" } });
  },
};

function configuration(directory, port) {
  const temporary = path.join(directory, "temporary");
  // As root its worker would change to a user that may not write here.
  const user = process.getuid?.() === 0 ? `user ${os.userInfo().username};` : "";
  return `
${user}
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
events { worker_connections 512; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
  client_max_body_size 0;
  client_body_buffer_size 128k;
  client_body_temp_path ${temporary};
  proxy_temp_path ${temporary};
  fastcgi_temp_path ${temporary};
  uwsgi_temp_path ${temporary};
  scgi_temp_path ${temporary};
  server {
    listen 127.0.0.1:${port};
    root ${directory}/files;
    location / {
      dav_methods PUT DELETE;
      create_full_put_path on;
    }
  }
}
`;
}
