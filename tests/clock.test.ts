/** A machine whose clock is set back, and a store that is asked for more than it has buffers: what is promised holds. */
import { afterEach, describe, expect, test } from "vitest";
import { bufferWaitMs } from "../src/core/limits.ts";
import type { Clock, Host } from "../src/env/host.ts";
import { signHeader } from "./support/s3-signer.ts";
import { Belongings, quietHost } from "./support/store.ts";

const keys = { accessKey: "clock-test", secretKey: "secret-of-clock-test" };
const hour = 3_600_000;
const belongings = new Belongings();
afterEach(() => belongings.giveBack());

function withClock(changes: Partial<Clock>): Host {
  return { ...quietHost, clock: { ...quietHost.clock, ...changes } };
}

describe("a clock that is set back by an hour", () => {
  test("versions keep the order they were written in, conditions hold, no id comes twice, and signatures are judged by it", async () => {
    let offset = 0;
    const host = withClock({ now: () => Date.now() + offset });
    const root = await belongings.directory();
    const open = () => belongings.router({ root, rootKeys: keys, s3: { port: 0 } }, host);
    let running = await open();
    const ask = async (
      method: string,
      target: string,
      options: { body?: string; headers?: Record<string, string> } = {},
    ) => {
      const url = `http://127.0.0.1:${running.s3Port}${target}`;
      const signed = signHeader(keys, { method, url, now: Date.now() + offset, ...options });
      const { host: _, ...headers } = signed.headers;
      const answer = await fetch(url, {
        method,
        headers,
        ...(options.body === undefined ? {} : { body: options.body }),
      });
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    };
    await ask("PUT", "/bucket");
    const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    await ask("PUT", "/bucket?versioning", { body: enabled });
    const versions: string[] = [];
    const put = async (body: string): Promise<void> => {
      const { status, headers } = await ask("PUT", "/bucket/key", { body });
      expect(status).toBe(200);
      versions.unshift(headers.get("x-amz-version-id")!);
    };
    await put("one");
    await put("two");
    offset = -hour;
    await put("three");
    // And a restart in the past.
    await running.close();
    running = await open();
    await put("four");
    offset = hour;
    await put("five");
    expect(new Set(versions).size).toBe(5);
    const { text } = await ask("GET", "/bucket?versions");
    expect([...text.matchAll(/<VersionId>(.*?)<\/VersionId>/g)].map(([, id]) => id)).toEqual(versions);
    expect((await ask("GET", "/bucket/key")).text).toBe("five");
    expect((await ask("PUT", "/bucket/key", { body: "six", headers: { "if-none-match": "*" } })).status).toBe(412);
    // Who still has the right time is an hour ahead of the store, or behind it: refused, until the clock is right again.
    const url = `http://127.0.0.1:${running.s3Port}/bucket/key`;
    const early = signHeader(keys, { method: "GET", url });
    const { host: _, ...headers } = early.headers;
    const skewed = await fetch(url, { headers });
    expect([skewed.status, /<Code>(.*?)</.exec(await skewed.text())?.[1]]).toEqual([403, "RequestTimeTooSkewed"]);
    offset = 0;
    expect((await fetch(url, { headers })).status).toBe(200);
  });
});

describe("more writers than buffers", () => {
  test("who cannot begin for too long is refused as BUSY, and who has begun comes to its end", async () => {
    const plans: (() => void)[] = [];
    const { clock } = quietHost;
    const host = withClock({
      after: (delayMs, call) => {
        if (delayMs !== bufferWaitMs) return clock.after(delayMs, call);
        plans.push(call);
        return { cancel: () => void plans.splice(plans.indexOf(call), 1) };
      },
    });
    const { router } = await belongings.router({ arena: { tiny: 4, block: 8, group: 1 } }, host);
    const holders = await Promise.all(Array.from({ length: 8 }, () => router.openWriter()));
    const bytes = new Uint8Array(100_000).fill(1);
    const taken = holders.map((writer) => writer.offer(bytes));
    expect(taken.filter((size) => size === bytes.length).length).toBeGreaterThan(0);
    const late = await router.openWriter();
    expect(late.offer(bytes)).toBe(0);
    expect(plans.length).toBeGreaterThan(0);
    for (const give of plans.slice()) give();
    expect(late.failure).toMatchObject({ code: "BUSY" });
    await expect(late.finish({ kind: "standalone" }, {})).rejects.toMatchObject({ code: "BUSY" });
    const begun = holders.filter((_, index) => taken[index] === bytes.length);
    for (const writer of begun)
      expect(await writer.finish({ kind: "standalone" }, {})).toMatchObject({ size: bytes.length });
    for (const writer of holders)
      if (!begun.includes(writer)) await writer.finish({ kind: "standalone" }, {}).catch(() => undefined);
    expect(plans).toEqual([]);
  });
});
