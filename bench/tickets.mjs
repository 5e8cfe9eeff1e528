/** WriteTickets over tcp/5000, durable, many in flight: at depth 2, and at depth 4, where each is a file. */
import { rmSync } from "node:fs";

export const name = "tickets";
export const goal = "500,000 a processor second at depth 2; 0.7 of a bare loop of files at depth 4";

const connections = 16;
/** Ordinal of `00000000`, and what makes the slot of that id at depth 2 the first one of a group. */
const eightCharacters = 80_603_140_212;
const groupTicketCount = 2048;
const firstSlot = 47_988;
const firstGroup = eightCharacters + groupTicketCount - (firstSlot % groupTicketCount);

export async function run(context) {
  return [...(await atDepth2(context)), ...(await atDepth4(context))];
}

async function atDepth2(context) {
  const count = context.pick(32_768, 8_192);
  const inFlight = 8_192;
  const total = connections * count;
  const size = total * 1474;
  const root = context.directory("tickets", size * (context.runs + 3));
  const plainDirectory = context.directory("tickets-plain");
  const rates = { product: [], plain: [] };
  const walls = { product: [], plain: [] };
  await context.with(["server", "plain", "ticket-client"], async (server, plain, client) => {
    const { port } = await server.call("start", { root, depth: 2 });
    const { port: plainPort } = await plain.call("receive", { directory: plainDirectory });
    let first = firstGroup;
    const prepare = async () => {
      await client.call("prepare", { first, connections, count });
      first += total;
    };
    const note = (kind, { seconds, cpu }) => {
      rates[kind].push(total / cpu);
      walls[kind].push(total / seconds);
    };
    // The first turn compiles.
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `depth 2, run ${turn + 1} of ${context.runs}`);
      await prepare();
      const measured = await context.measure(server, () => client.call("send", { port, inFlight }));
      if (measured.result !== total) throw new Error(`${measured.result} of ${total} tickets saved`);
      const compared = await context.measure(plain, () => client.call("sendPlain", { port: plainPort }));
      await plain.call("clear", { directory: plainDirectory });
      if (turn < 0) continue;
      note("product", measured);
      note("plain", compared);
    }
    await prepare();
    await context.profile(name, server, () => client.call("send", { port, inFlight }));
  });
  rmSync(root, { recursive: true });
  const baseline = (values) => ({ name: "16 sockets piped to 16 files, one fsync each", values });
  return [
    {
      name: `tickets, depth 2, ${connections} × ${inFlight} in flight`,
      unit: "/CPU-s",
      values: rates.product,
      baseline: baseline(rates.plain),
      goal: { on: "value", atLeast: 500_000 },
    },
    { name: "the same, by the clock", unit: "/s", values: walls.product, baseline: baseline(walls.plain) },
  ];
}

async function atDepth4(context) {
  const count = context.pick(256, 64);
  const inFlight = 64;
  const total = connections * count;
  const root = context.directory("tickets-depth-4", total * (context.runs + 1) * 20_000);
  const bare = context.directory("tickets-bare");
  const rates = { product: [], bare: [] };
  await context.with(["server", "files", "ticket-client"], async (server, files, client) => {
    const { port } = await server.call("start", { root, depth: 4 });
    let first = eightCharacters;
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `depth 4, run ${turn + 1} of ${context.runs}`);
      await client.call("prepare", { first, connections, count });
      const measured = await context.measure(server, () => client.call("send", { port, inFlight }));
      const work = { directory: bare, first, count: total, inFlight: connections * inFlight };
      const compared = await context.measure(files, () => files.call("tickets", work));
      first += total;
      if (turn < 0) continue;
      rates.product.push(total / measured.seconds);
      rates.bare.push(total / compared.seconds);
    }
    await client.call("prepare", { first, connections, count });
    await context.profile(`${name}, depth 4`, server, () => client.call("send", { port, inFlight }));
  });
  for (const directory of [root, bare]) rmSync(directory, { recursive: true });
  return [
    {
      name: `tickets, depth 4, ${connections} × ${inFlight} in flight`,
      unit: "/s",
      values: rates.product,
      baseline: { name: "bare loop: directory, obj, sum, three syncs", values: rates.bare },
      goal: { on: "ratio", atLeast: 0.7 },
    },
  ];
}
