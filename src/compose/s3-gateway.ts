/** The S3 gateway of a router: its services put together, its port opened. */
import type { Key } from "../core/key.ts";
import type { Datastore } from "../datastore/datastore.ts";
import type { Clock, Host } from "../env/host.ts";
import type { HttpHandler, HttpLimits, HttpListener } from "../env/http.ts";
import { openNodeDigests } from "../env/node-digests.ts";
import { nodeClock } from "../env/node-clock.ts";
import { listenHttp } from "../env/node-http.ts";
import { openHttpServer } from "../gateways/http/http-server.ts";
import { Metrics } from "../gateways/health/metrics.ts";
import { opsHandler, opsPrefix } from "../gateways/health/ops-handler.ts";
import { Access } from "../gateways/s3/access/access.ts";
import type { AccessLog } from "../gateways/s3/access-log.ts";
import type { Accounts } from "../gateways/s3/auth/accounts.ts";
import { Sealing } from "../gateways/s3/auth/sealing.ts";
import { Keyring } from "../gateways/s3/encryption/keyring.ts";
import { S3Gateway } from "../gateways/s3/gateway.ts";
import { LifecycleWorker } from "../gateways/s3/lifecycle/lifecycle-worker.ts";
import type { S3Settings, Services } from "../gateways/s3/operation.ts";
import { httpDate } from "../gateways/s3/protocol/dates.ts";
import type { RouterStatus } from "../router/object-answers.ts";
import type { Router } from "../router/router.ts";
import { defaultSettings } from "./s3-settings.ts";

export interface S3Config {
  readonly bind: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly limits?: Partial<HttpLimits>;
  readonly settings?: Partial<S3Settings>;
  readonly accessLog?: AccessLog;
  /** Answers have the date of the host's clock, where that is not the machine's: clients sign by it. */
  readonly tellsTime?: boolean;
  /** Another process on the same data carries the rules out. */
  readonly withoutLifecycle?: boolean;
}

export interface S3Parts {
  readonly host: Host;
  readonly key: Key;
  readonly datastore: Datastore;
  readonly router: Router;
  readonly accounts: Accounts;
  /** Requests that come before it resolves wait for it. */
  readonly ready?: Promise<void>;
  /** For `/-/ready` and `/-/metrics`. */
  readonly status: () => Promise<RouterStatus>;
}

export interface RunningGateway {
  readonly services: Services;
  readonly lifecycle: LifecycleWorker;
  readonly listener: HttpListener;
  close(): Promise<void>;
}

export async function openGateway(parts: S3Parts, config: S3Config): Promise<RunningGateway> {
  const { host, datastore, router, accounts, key } = parts;
  const digests = await openNodeDigests();
  const keyring = new Keyring({
    datastore,
    sealing: new Sealing(key, host.random),
    random: host.random,
    clock: host.clock,
  });
  const services: Services = {
    host,
    router,
    datastore,
    accounts,
    access: new Access(),
    digests,
    keyring,
    settings: { ...defaultSettings, ...config.settings },
  };
  const lifecycle = new LifecycleWorker(services);
  const { accessLog } = config;
  const metrics = new Metrics();
  const observe = metrics.observe.bind(metrics);
  const gateway = new S3Gateway({ services, observe, ...(accessLog === undefined ? {} : { accessLog }) });
  const handle = config.tellsTime === true ? dated(gateway, host.clock) : gateway.handle.bind(gateway);
  const dispatch: HttpHandler = (request) =>
    request.target.startsWith(opsPrefix) ? operations(request) : handle(request);
  let isReady = parts.ready === undefined;
  void parts.ready?.then(() => (isReady = true));
  const listen = serverOf(host, config);
  let isClosing = false;
  let listener: HttpListener | undefined;
  const operations = opsHandler({
    metrics,
    clock: host.clock,
    status: parts.status,
    isClosing: () => isClosing,
    connectionCount: () => listener?.connectionCount ?? 0,
  });
  try {
    const opened = (listener = await listen(
      {
        host: config.bind,
        port: config.port,
        log: host.log,
        refuse: (refusal) => gateway.refuse(refusal),
        ...(config.tls === undefined ? {} : { tls: config.tls }),
        ...(config.limits === undefined ? {} : { limits: config.limits }),
      },
      (request) => (isReady ? dispatch(request) : parts.ready!.then(() => dispatch(request))),
    ));
    const close = async (): Promise<void> => {
      isClosing = true;
      await lifecycle.stop();
      await opened.close();
      await digests.close();
    };
    if (config.withoutLifecycle !== true) lifecycle.start();
    return { services, lifecycle, listener: opened, close };
  } catch (error) {
    await digests.close();
    throw error;
  }
}

/** TLS by Node's server, everything else by ours, which costs half as much. */
function serverOf({ network }: Host, { tls }: S3Config): typeof listenHttp {
  if (tls !== undefined) return listenHttp;
  // Time-outs go by the machine's clock, whatever the store believes.
  return (options, handler) => openHttpServer({ network, clock: nodeClock }, options, handler);
}

function dated(gateway: S3Gateway, clock: Clock): HttpHandler {
  return async (request) => {
    const answer = await gateway.handle(request);
    return { ...answer, headers: { Date: httpDate(clock.now()), ...answer.headers } };
  };
}
