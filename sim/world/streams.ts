/** Clients of tcp/5001 and tcp/5002: they send the bytes of one object over the network, and read objects back by id. */
import { StoreError } from "../../src/core/errors.ts";
import { fingerprintOf } from "../../src/core/key.ts";
import { Kernel } from "../../src/core/kernel.ts";
import { parseId, type ObjectId } from "../../src/core/ids.ts";
import type { Connection } from "../../src/env/host.ts";
import { delay } from "../../src/env/host.ts";
import { RequestClient } from "../../src/wire/request-client.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { takenBack } from "../datastore/simulated-store.ts";
import { bytesOf, type Content } from "./contents.ts";
import { responsePort, streamPort } from "./roles.ts";
import { simulationKey, type World } from "./world.ts";

export interface StreamedObject {
  readonly content: Content;
  /** Whether somebody asked for it to be removed, and whether that was answered. */
  removal: "none" | "asked" | "done";
}

/** What was sent, in part or as a whole, and not acknowledged. */
export interface UnacknowledgedStream {
  readonly content: Content;
  /**
   * What may be there of it: all, where its end was sent; any beginning, where its sender closed the connection before,
   * which looks the same; nothing, where the connection was cut, or the datastore refused it.
   */
  readonly kept: "whole" | "beginning" | "nothing";
}

export class Streams {
  /** What was answered OBJECT … WRITTEN OK. */
  readonly acknowledged = new Map<ObjectId, StreamedObject>();
  readonly unacknowledged: UnacknowledgedStream[] = [];
  readonly #world: World;
  readonly #random: SimulatedRandom;
  readonly #kernel = new Kernel(simulationKey, { tiny: 1, block: 6, group: 0 });

  constructor(world: World, random: SimulatedRandom) {
    this.#world = world;
    this.#random = random;
  }

  async act(content: Content): Promise<void> {
    const known = [...this.acknowledged.keys()];
    const point = this.#random.fraction();
    if (known.length === 0 || point < 0.5) return this.#send(content);
    const id = this.#random.pick(known);
    if (point < 0.85) return this.#get(id);
    return this.#remove(id);
  }

  async #send(content: Content): Promise<void> {
    const { text, kept } = await this.#talk(bytesOf(content));
    const id = /^OBJECT ([0-9A-Z]+) WRITTEN OK\n$/.exec(text)?.[1];
    this.#world.trace.add("stream", `${text.length} ${id ?? "not written"}`);
    const isRefused = text.startsWith("ERROR") && text.includes(takenBack);
    if (isRefused) this.#note("stream refused by the datastore");
    if (id === undefined) this.unacknowledged.push({ content, kept: isRefused ? "nothing" : kept });
    else this.#note("stream sent");
    if (id !== undefined) this.acknowledged.set(parseId<ObjectId>(id)!, { content, removal: "none" });
  }

  /** What was answered until the connection ended, and what its end may have looked like. */
  async #talk(bytes: Uint8Array): Promise<{ text: string; kept: UnacknowledgedStream["kept"] }> {
    const { network, clock } = this.#world.client;
    const host = this.#random.pick(this.#world.routers).name;
    let connection: Connection;
    try {
      const { receiveBuffer } = this.#kernel;
      connection = await network.connect({ host, port: streamPort, receiveBuffer, timeoutMs: 3_000 });
    } catch {
      return { text: "", kept: "nothing" };
    }
    let text = "";
    let kept: UnacknowledgedStream["kept"] = "nothing";
    const closed = new Promise<void>((resolve) => {
      connection.start({
        bytes: (chunk) => {
          text += Buffer.from(chunk).toString("latin1");
          return chunk.length;
        },
        end: () => connection.destroy(),
        closed: () => resolve(),
      });
    });
    const leave = (): void => {
      if (kept === "nothing") kept = "beginning";
      connection.destroy();
    };
    const patience = clock.after(60_000, leave);
    const leavesAt = this.#random.chance(0.2) ? this.#random.below(bytes.length + 1) : undefined;
    try {
      for (let at = 0; at < bytes.length;) {
        const piece = bytes.subarray(at, at + this.#random.between(1, 70_000));
        await Promise.race([connection.write(piece), closed]);
        at += piece.length;
        if (leavesAt !== undefined && at >= leavesAt) {
          const isReset = this.#random.chance(0.5);
          // What it sent has arrived by then, or is lost with the connection.
          if (this.#random.chance(0.7)) await delay(clock, this.#random.fraction() * 50);
          this.#note(isReset ? "stream reset" : "stream broken off");
          if (isReset) network.reset(connection);
          else leave();
          break;
        }
        if (this.#random.chance(0.05)) await delay(clock, this.#random.fraction() * 1_500);
      }
      if (leavesAt === undefined || bytes.length === 0) {
        kept = "whole";
        await connection.end();
      }
    } catch {
      // The router cut it; what it said before that counts.
    }
    await closed;
    patience.cancel();
    return { text, kept };
  }

  async #get(id: ObjectId): Promise<void> {
    const { content } = this.acknowledged.get(id)!;
    const wanted = bytesOf(content);
    const host = this.#random.pick(this.#world.routers).name;
    const options = {
      host: this.#world.client,
      kernel: this.#kernel,
      fingerprint: fingerprintOf(simulationKey),
      address: { host, port: responsePort },
      answerTimeoutMs: 30_000,
    };
    let client: RequestClient | undefined;
    try {
      client = await RequestClient.connect(options);
      const offset = this.#random.chance(0.5) ? 0 : this.#random.below(wanted.length + 1);
      let at = offset;
      for await (const part of client.ask("get", { a: id, b: offset })) {
        if (part.kind !== "tickets") continue;
        const bytes = part.buffer.data.subarray(part.skip, part.skip + part.take);
        const isRight = Buffer.compare(bytes, wanted.subarray(at, at + part.take)) === 0;
        part.buffer.release();
        if (!isRight) this.#world.history.violation(`bytes: object ${id}, over tcp/5002, has other bytes after ${at}`);
        at += part.take;
      }
      if (at !== wanted.length) {
        this.#world.history.violation(`bytes: object ${id}, over tcp/5002, ended at ${at} of ${wanted.length}`);
      }
      this.#note(offset === 0 ? "stream fetched" : "stream fetched from an offset");
    } catch (error) {
      const isGone = error instanceof StoreError && error.code === "NOT_FOUND";
      if (isGone && this.acknowledged.get(id)!.removal === "none") {
        this.#world.history.violation(`durability: object ${id} was written, and tcp/5002 does not find it`);
      }
    } finally {
      client?.close();
    }
  }

  async #remove(id: ObjectId): Promise<void> {
    const object = this.acknowledged.get(id)!;
    if (object.removal === "none") object.removal = "asked";
    const outcome = await this.#world.pickRouter(this.#random).call(({ router }) => router.remove(id));
    if (outcome.kind === "value") {
      object.removal = "done";
      this.#note("stream removed");
    }
  }

  #note(what: string): void {
    this.#world.coverage.note("operation", what);
  }
}
