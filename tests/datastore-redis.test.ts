import { afterAll, beforeAll, describe } from "vitest";
import { datastoreContract } from "../src/datastore/datastore.contract.ts";
import { openRedis } from "../src/datastore/redis.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { flush } from "./support/redis-client.ts";

describe.skipIf(!hasRedisServer())("with a redis-server", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  datastoreContract("the redis", async () => {
    await flush(server.url);
    const openHere = () => openRedis({ url: server.url, clock: nodeClock, durability: "disk", log: silentLog });
    let datastore = await openHere();
    const second = await openHere();
    return {
      datastore,
      second,
      async reopen() {
        await datastore.close();
        datastore = await openHere();
        return datastore;
      },
      async close() {
        await second.close();
        await datastore.close();
      },
    };
  });
});
