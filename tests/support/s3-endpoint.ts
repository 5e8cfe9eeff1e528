/**
 * An S3 endpoint in this process, with a clock that tests set, and signed requests to it: for what has to be said or
 * seen exactly, header by header.
 */
import type { Clock, Host } from "../../src/env/host.ts";
import type { RouterConfig, RunningRouter } from "../../src/compose/router-process.ts";
import { signHeader, type SignerKeys } from "./s3-signer.ts";
import { type Belongings, quietHost } from "./store.ts";

export type Headers = { readonly [name: string]: string };

export interface S3Answer {
  readonly status: number;
  /** The <Code> of an error. */
  readonly code: string | undefined;
  readonly headers: globalThis.Headers;
  readonly bytes: Buffer;
  readonly text: string;
}

export class S3Endpoint {
  readonly running: RunningRouter;
  readonly origin: string;
  readonly keys: SignerKeys = rootKeys;
  readonly #clock: { offsetMs: number };

  private constructor(running: RunningRouter, clock: { offsetMs: number }) {
    this.running = running;
    this.origin = `http://127.0.0.1:${running.s3Port}`;
    this.#clock = clock;
  }

  static async open(belongings: Belongings, config: Partial<RouterConfig> = {}): Promise<S3Endpoint> {
    const clock = { offsetMs: 0 };
    const machine = quietHost.clock;
    const moved: Clock = {
      now: () => machine.now() + clock.offsetMs,
      monotonic: () => machine.monotonic(),
      after: (delayMs, call) => machine.after(delayMs, call),
      soon: (call) => machine.soon(call),
    };
    const host: Host = { ...quietHost, clock: moved };
    const running = await belongings.router({ s3: { port: 0 }, rootKeys, ...config }, host);
    return new S3Endpoint(running, clock);
  }

  /** What the endpoint takes for the time. */
  get now(): number {
    return quietHost.clock.now() + this.#clock.offsetMs;
  }

  pass(ms: number): void {
    this.#clock.offsetMs += ms;
  }

  async bucket(name: string, headers: Headers = {}): Promise<string> {
    const made = await this.ask("PUT", `/${name}`, headers);
    if (made.status !== 200) throw new Error(`bucket ${name}: ${made.text}`);
    return name;
  }

  /** `path`: percent-encoded, with its query. `keys`: undefined for nobody's request. */
  async ask(
    method: string,
    path: string,
    headers: Headers = {},
    body?: Uint8Array | string,
    keys: SignerKeys | null = this.keys,
  ): Promise<S3Answer> {
    const url = `${this.origin}${path}`;
    const plain = { method, url, headers, now: this.now, ...(body === undefined ? {} : { body }) };
    const sent =
      keys === null ? { headers, body: body === undefined ? undefined : Buffer.from(body) } : signHeader(keys, plain);
    const { host: _, ...rest } = sent.headers;
    const answer = await fetch(url, {
      method,
      headers: rest,
      redirect: "manual",
      ...(sent.body === undefined ? {} : { body: sent.body as Uint8Array<ArrayBuffer> }),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const text = bytes.toString("utf8");
    return { status: answer.status, code: /<Code>(.*?)<\/Code>/.exec(text)?.[1], headers: answer.headers, bytes, text };
  }

  /** Status and code, for what is refused; the code of a HEAD is undefined. */
  async refusal(...request: Parameters<S3Endpoint["ask"]>): Promise<[number, string | undefined]> {
    const { status, code } = await this.ask(...request);
    return [status, code];
  }
}

const rootKeys = { accessKey: "tester", secretKey: "testers-secret" };
/** The text of the first element of that name. */
export function elementText(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>(.*?)</${name}>`, "s").exec(xml)?.[1];
}
