/** Ten thousand connections that say nothing: on every port they cost little, and leave nothing behind. */
import { once } from "node:events";
import net from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ticketDataSize } from "../../src/core/frame.ts";
import { Child } from "../support/child.ts";
import { sendStream, TestSocket } from "../support/sockets.ts";
import { Belongings, eventually, framesOf, patternOf } from "../support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const megabyte = 1024 * 1024;
const ticket = (seed: number): Uint8Array => patternOf(ticketDataSize, seed);

async function child(kind: "router" | "server"): Promise<Child> {
  const started = await Child.start(kind, { root: await belongings.directory() });
  belongings.add(() => started.kill());
  return started;
}

/** From several addresses: one has not enough free ports where others use them too. */
function connectIdle(port: number, count: number, turn: number): Promise<net.Socket[]> {
  const from = { host: "127.0.0.1", port, localAddress: `127.0.0.${2 + (turn % 7)}` };
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = net.connect(from);
      await once(socket, "connect");
      return socket;
    }),
  );
}

describe("10,000 idle connections", () => {
  it.each([
    ["a server's tickets", "server"],
    ["a router's streams", "router"],
  ] as const)("at %s cost little memory, leave no descriptor behind, and others are served", async (_, kind) => {
    const started = await child(kind);
    const serve = async (turn: number): Promise<void> => {
      if (kind === "router") {
        expect(await sendStream(started.port, ticket(turn))).toMatch(/^OBJECT \w+ WRITTEN OK\n$/);
        return;
      }
      const one = await TestSocket.connect(started.port);
      await one.write(framesOf(turn, ticket(turn)));
      expect(await one.statuses(1)).toEqual([0]);
      one.destroy();
    };
    await serve(0);
    const [memory, descriptors] = [await started.memory(), started.descriptors()];
    const idle: net.Socket[] = [];
    const count = 10_000;
    for (let done = 0; done < count; done += 500) {
      idle.push(...(await connectIdle(started.port, 500, done)));
      // What the listener has no place for is lost without a word: the next ones come when these were accepted.
      await eventually(() => started.descriptors() >= descriptors + idle.length, 50);
    }
    await serve(1);
    const perConnection = ((await started.memory()) - memory) / count;
    expect(perConnection).toBeLessThan(20_000);
    for (const socket of idle) socket.destroy();
    await eventually(() => started.descriptors() <= descriptors + 2, 50);
    await serve(2);
    expect((await started.memory()) - memory).toBeLessThan(150 * megabyte);
  });
});
