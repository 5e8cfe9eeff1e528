/** A CPU profile of V8 as a list: where the JavaScript thread spent its time. */
import path from "node:path";

/** The functions with the most time of their own, idle time left out; shares of what was not idle. */
export function topOfProfile(profile, count) {
  const callers = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.callFrame])),
  );
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame, callers.get(id))]));
  const times = new Map();
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id);
    times.set(name, (times.get(name) ?? 0) + profile.timeDeltas[index]);
  }
  times.delete("(idle)");
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .sort(([, one], [, other]) => other - one)
    .slice(0, count)
    .map(([name, time]) => ({ name, milliseconds: time / 1000, share: time / total }));
}

function nameOf({ functionName, url, lineNumber }, caller) {
  // Functions of native modules have no names: whoever calls one says which it is.
  if (functionName === "" && url === "" && caller !== undefined) return `(native) of ${nameOf(caller)}`;
  const where = url === "" ? "" : ` ${path.basename(url)}:${lineNumber + 1}`;
  return `${functionName === "" ? "(anonymous)" : functionName}${where}`;
}
