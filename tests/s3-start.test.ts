/** The first moments of an S3 port: whoever asks before root's key is known waits for it, and is not told that there is none. */
import { afterEach, expect, test } from "vitest";
import type { Host, Network } from "../src/env/host.ts";
import { freePort } from "./support/program.ts";
import { signHeader } from "./support/s3-signer.ts";
import { Belongings, quietHost } from "./support/store.ts";
import { watched, withAccepted } from "./support/wrapped-network.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const keys = { accessKey: "tester", secretKey: "testers-secret" };

test("who asks before root's key is known waits, and is answered", async () => {
  const port = await freePort();
  let answered: Promise<number> | undefined;
  let wasEarly = false;
  let arrive!: () => void;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const told = withAccepted(quietHost, (one, at) => (at === port ? watched(one, arrive) : one));
  /** The port opens, a request is there in full, and only then does the start go on. */
  const network: Network = {
    connect: (options) => told.network.connect(options),
    listen: async (options, accept) => {
      const listener = await told.network.listen(options, accept);
      if (options.port !== port) return listener;
      answered = listBuckets(port);
      await arrived;
      wasEarly = true;
      return listener;
    },
  };
  const host: Host = { ...quietHost, network };
  await belongings.router({ s3: { port }, rootKeys: keys }, host);
  expect(wasEarly).toBe(true);
  expect(await answered).toBe(200);
});

async function listBuckets(port: number): Promise<number> {
  const { url, headers } = signHeader(keys, { method: "GET", url: `http://127.0.0.1:${port}/` });
  const { host: _, ...rest } = headers;
  return (await fetch(url, { headers: rest })).status;
}
