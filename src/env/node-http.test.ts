/** The server over node:http: the contract, TLS, and what it leaves of the process. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, describe, expect, test } from "vitest";
import type { Clock } from "./host.ts";
import { readAll, until } from "./http-fixture.contract.ts";
import { httpContract } from "./http.contract.ts";
import type { HttpHandler } from "./http.ts";
import { nodeClock } from "./node-clock.ts";
import { listenHttp } from "./node-http.ts";

httpContract("Node's", listenHttp);

const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {
  // Nothing is said.
}

describe.runIf(hasOpenssl())("over TLS", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "http-tls-"));
  const files = { cert: path.join(directory, "cert.pem"), key: path.join(directory, "key.pem") };
  afterAll(() => rmSync(directory, { recursive: true }));

  function makePair(name: string): { cert: string; key: string } {
    const pair = { cert: path.join(directory, `${name}.cert`), key: path.join(directory, `${name}.key`) };
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const where = ["-subj", `/CN=${name}`, "-days", "2", "-out", pair.cert, "-keyout", pair.key];
    execFileSync("openssl", ["req", "-x509", ...curve, ...where], { stdio: "ignore" });
    return pair;
  }

  function ask(port: number, options: tls.ConnectionOptions = {}): Promise<{ name: string; text: string }> {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options }, () => {
        const name = socket.getPeerCertificate().subject.CN as string;
        let text = "";
        socket.on("data", (chunk) => (text += chunk.toString("latin1")));
        socket.on("end", () => resolve({ name, text }));
        socket.write("PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
      });
      socket.on("error", reject);
    });
  }

  /** Time that stands still until it is moved. */
  function handClock(): Clock & { fire(): void } {
    const calls = new Set<() => void>();
    return {
      ...nodeClock,
      monotonic: () => 0,
      after: (_delay, call) => {
        calls.add(call);
        return { cancel: () => calls.delete(call) };
      },
      fire: () => {
        for (const call of Array.from(calls)) {
          calls.delete(call);
          call();
        }
      },
    };
  }

  const handler: HttpHandler = async (request) => ({
    status: 200,
    headers: {},
    body: `${request.secure} ${(await readAll(request)).length}`,
  });

  test("requests are answered; a new pair is used, one that does not fit together is not", async () => {
    const [first, second] = [makePair("first"), makePair("second")];
    copyFileSync(first.cert, files.cert);
    copyFileSync(first.key, files.key);
    const said: string[] = [];
    const clock = handClock();
    const noting = { ...log, error: (text: string) => said.push(text), info: (text: string) => said.push(text) };
    const listener = await listenHttp({ host: "127.0.0.1", port: 0, tls: files, log: noting, clock }, handler);
    const { name, text } = await ask(listener.port);
    expect(name).toBe("first");
    expect(text).toMatch(/^HTTP\/1\.1 200 .*true 3$/s);
    await expect(ask(listener.port, { maxVersion: "TLSv1.1" })).rejects.toThrow(/./);

    copyFileSync(second.cert, files.cert);
    clock.fire();
    await until(() => said.length === 1);
    expect(said[0]).toContain("the old one stays");
    expect((await ask(listener.port)).name).toBe("first");

    copyFileSync(second.key, files.key);
    await until(() => {
      clock.fire();
      return said.length === 2;
    });
    expect((await ask(listener.port)).name).toBe("second");

    rmSync(files.key);
    await until(() => {
      clock.fire();
      return said.length === 3;
    });
    expect((await ask(listener.port)).name).toBe("second");
    // Somebody who never ends the handshake does not keep it from closing.
    const silent = net.connect(listener.port, "127.0.0.1");
    await new Promise((resolve) => silent.once("connect", resolve));
    await listener.close();
    silent.destroy();
  });

  test("files that are no pair are an error before anything listens", async () => {
    const bad = { cert: files.cert, key: path.join(directory, "nothing.key") };
    const listening = listenHttp({ host: "127.0.0.1", port: 0, tls: bad, log }, handler);
    await expect(listening).rejects.toMatchObject({ code: "INVALID", message: expect.stringContaining("nothing.key") });
  });
});

test("a port that is taken is the system's error", async () => {
  const answer: HttpHandler = async () => ({ status: 200, headers: {} });
  const first = await listenHttp({ host: "127.0.0.1", port: 0, log }, answer);
  const second = listenHttp({ host: "127.0.0.1", port: first.port, log }, answer);
  await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
  await first.close();
});

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
