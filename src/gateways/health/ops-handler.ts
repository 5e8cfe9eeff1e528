/**
 * What who runs the store asks it, below `/-/`: no name that a bucket can have. No signature is asked for, and nothing is
 * told that names what is stored.
 *
 * `/-/health` says that the process serves, `/-/ready` whether it can do what it is for, `/-/metrics` how much of it.
 */
import { messageOf } from "../../core/errors.ts";
import * as limits from "../../core/limits.ts";
import { type Clock, delay } from "../../env/host.ts";
import type { HttpAnswer, HttpHandler, HttpRequest } from "../../env/http.ts";
import type { RouterStatus } from "../../router/object-answers.ts";
import { expose } from "./exposition.ts";
import type { Metrics } from "./metrics.ts";

export const opsPrefix = "/-/";

export interface OpsOptions {
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Rejects where the datastore does not answer. */
  readonly status: () => Promise<RouterStatus>;
  readonly isClosing: () => boolean;
  readonly connectionCount?: () => number;
}

/** For requests whose target begins with `opsPrefix`. Never rejects. */
export function opsHandler(options: OpsOptions): HttpHandler {
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return { ...json(405, { error: "these are only read" }), headers: { ...plain, Allow: "GET, HEAD" } };
    }
    switch (pathOf(request)) {
      case "health":
        return json(200, { status: "ok" });
      case "ready":
        return ready(options);
      case "metrics":
        return metrics(options);
      default:
        return json(404, { error: "there are /-/health, /-/ready and /-/metrics" });
    }
  };
}

function pathOf({ target }: HttpRequest): string {
  return target.slice(opsPrefix.length).split("?", 1)[0]!;
}

async function ready(options: OpsOptions): Promise<HttpAnswer> {
  const reasons: string[] = [];
  if (options.isClosing()) reasons.push("closing");
  try {
    const { putters } = (await statusInTime(options)) as { putters?: readonly { available: boolean }[] };
    if (putters?.some(({ available }) => available) !== true) reasons.push("no putter is available");
  } catch (error) {
    reasons.push(`the datastore does not answer: ${messageOf(error)}`);
  }
  return reasons.length === 0 ? json(200, { status: "ready" }) : json(503, { status: "not ready", reasons });
}

async function metrics(options: OpsOptions): Promise<HttpAnswer> {
  // Without its datastore a store still tells what it did.
  const status = await statusInTime(options).catch(() => undefined);
  const { type, text } = await expose({
    metrics: options.metrics,
    status,
    connectionCount: options.connectionCount?.(),
  });
  return { status: 200, headers: { "Content-Type": type, "Cache-Control": "no-store" }, body: text };
}

async function statusInTime({ status, clock }: OpsOptions): Promise<RouterStatus> {
  const done = new AbortController();
  const late = delay(clock, limits.readyTimeoutMs, done.signal).then(() => {
    throw new Error(`not within ${limits.readyTimeoutMs} ms`);
  });
  // Where the status is there first, this is nobody's any more.
  late.catch(() => undefined);
  try {
    return await Promise.race([status(), late]);
  } finally {
    done.abort();
  }
}

const plain = { "Content-Type": "application/json", "Cache-Control": "no-store" };

function json(status: number, value: unknown): HttpAnswer {
  return { status, headers: plain, body: `${JSON.stringify(value)}\n` };
}
