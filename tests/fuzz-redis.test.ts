/** What Redis answers, broken on its way, for a few seconds; `npm run test:long` takes longer. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RedisCase, redisCase, RedisTarget, replyChanges } from "./support/fuzz-redis.ts";
import { fuzz, regressions, Unhandled } from "./support/fuzz-run.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { Belongings } from "./support/store.ts";

describe.skipIf(!hasRedisServer())("Redis' replies", () => {
  const belongings = new Belongings();
  const unhandled = new Unhandled();
  let target: RedisTarget;

  beforeAll(async () => {
    const server = await RedisServer.start();
    belongings.add(() => server.stop());
    target = await RedisTarget.open(server, unhandled, belongings);
  });
  afterAll(async () => {
    await belongings.giveBack();
    unhandled.end();
  });

  it.each(regressions<RedisCase>("redis"))("%s", async (_, found) => {
    await expect(target.check(found)).resolves.toBeUndefined();
  });

  it("however they are broken: right, or an error in time; what was acknowledged is there; it works again by itself", async () => {
    expect(await fuzz(5, redisCase, (one) => target.check(one), 4)).toBeGreaterThan(3);
  });

  it("while it is opened: it opens, or says why not", async () => {
    expect(await fuzz(2, replyChanges, (changes) => target.opening(changes), 4)).toBeGreaterThan(3);
  });
});
