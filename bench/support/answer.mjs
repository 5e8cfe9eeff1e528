/**
 * The child's side of support/child.mjs: answers the operations that the parent calls, one message each, and every
 * child's common ones: how much processor time it has used, and a profile of its JavaScript thread.
 */
import { Session } from "node:inspector/promises";

let profiler;

const common = {
  /** Processor time of all threads, in seconds. */
  usage: () => {
    const { user, system } = process.cpuUsage();
    return { user: user / 1e6, system: system / 1e6 };
  },
  profileStart: async () => {
    profiler = new Session();
    profiler.connect();
    await profiler.post("Profiler.enable");
    await profiler.post("Profiler.setSamplingInterval", { interval: 500 });
    await profiler.post("Profiler.start");
  },
  profileStop: async () => {
    const { profile } = await profiler.post("Profiler.stop");
    profiler.disconnect();
    return profile;
  },
};

/** `operations`: functions by name, that take and return what can be sent between processes. */
export function answer(operations) {
  const all = { ...common, ...operations };
  process.on("message", ({ number, operation, argument }) => {
    void run(all[operation], argument).then((outcome) => process.connected && process.send({ number, ...outcome }));
  });
  // Whoever started it is gone: nothing is left to be measured.
  process.on("disconnect", () => process.exit());
  if (process.connected) process.send({ number: 0, result: undefined });
}

async function run(operation, argument) {
  try {
    return { result: await operation(argument) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
