/** Frames changed, from recorded traffic and on their way, for a few seconds; `npm run test:long` takes longer. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type AskedCase,
  type ByteStreamCase,
  ClusterTarget,
  FrameTarget,
  type StreamCase,
  type TappedCase,
} from "./support/fuzz-frames.ts";
import { type AnswerCase, answerCase, AnsweringTarget } from "./support/fuzz-answers.ts";
import { askedCases, byteStreamCase, clusterCase, streamCase, tappedCase } from "./support/fuzz-frame-cases.ts";
import { fuzz, regressions, Unhandled } from "./support/fuzz-run.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
const unhandled = new Unhandled();
let target: FrameTarget;
let cluster: ClusterTarget;
let answering: AnsweringTarget;

beforeAll(async () => {
  target = await FrameTarget.open(belongings, unhandled);
  answering = await AnsweringTarget.open(belongings, unhandled);
  cluster = await ClusterTarget.open(belongings, unhandled);
});
afterAll(async () => {
  await belongings.giveBack();
  unhandled.end();
});

type Found =
  | { readonly tickets: StreamCase }
  | { readonly responses: StreamCase }
  | { readonly stream: ByteStreamCase }
  | { readonly tapped: TappedCase }
  | { readonly asked: readonly AskedCase[] }
  | { readonly answered: AnswerCase }
  | { readonly cluster: TappedCase };

describe("what was found once", () => {
  it.each(regressions<Found>("frames"))("%s", async (_, found) => {
    if ("tickets" in found) await target.stream("server", found.tickets);
    else if ("responses" in found) await target.stream("router", found.responses);
    else if ("stream" in found) await target.byteStream(found.stream);
    else if ("tapped" in found) await target.tapped(found.tapped);
    else if ("asked" in found) await target.asked(found.asked);
    else if ("answered" in found) await answering.check(found.answered);
    else await cluster.check(found.cluster);
    expect(await target.inconsistency()).toBeUndefined();
  });
});

describe("whatever arrives, all that was acknowledged is there, nothing else is, and nothing is held", () => {
  it("as WriteTickets: every frame has one response, the one it is due", async () => {
    expect(await fuzz(1.2, streamCase, (one) => target.stream("server", one), 11)).toBeGreaterThan(10);
    expect(await target.inconsistency()).toBeUndefined();
  });

  it("as responses and requests to the router", async () => {
    expect(await fuzz(0.8, streamCase, (one) => target.stream("router", one), 11)).toBeGreaterThan(10);
    expect(await target.inconsistency()).toBeUndefined();
  });

  it("as byte streams: an end makes an object, a reset or silence makes none", async () => {
    expect(await fuzz(0.8, byteStreamCase, (one) => target.byteStream(one), 2)).toBeGreaterThan(1);
    expect(await target.inconsistency()).toBeUndefined();
  });

  it("between a client and the router, either way: right answers, or errors in time", async () => {
    expect(await fuzz(1.5, tappedCase, (one) => target.tapped(one), 2)).toBeGreaterThan(1);
    expect(await target.inconsistency()).toBeUndefined();
  });

  it("from a client that has the key and asks for anything", async () => {
    expect(await fuzz(0.8, askedCases, (some) => target.asked(some), 11)).toBeGreaterThan(10);
    expect(await target.inconsistency()).toBeUndefined();
  });

  it("between the router and its server, either way: it comes back by itself", async () => {
    expect(await fuzz(1.5, clusterCase, (one) => cluster.check(one), 2)).toBeGreaterThan(1);
  });
  it("from a side that has the key and answers as it likes: what was asked for, or an error, in time", async () => {
    expect(await fuzz(0.8, answerCase, (one) => answering.check(one), 11)).toBeGreaterThan(10);
  });
});
