/**
 * What a process may take: files and disk operations at any time, bytes that wait for the network, memory and timers that
 * are left when nobody asks for anything.
 */
import type { ArenaSizes, Kernel } from "../../src/core/kernel.ts";
import type { SimulatedHost } from "../simulated-host.ts";
import type { World } from "../world/world.ts";

/** obj, sum and obj for unbuffered writing of each open volume, and what a reclaiming has open. */
function openFilesMax(openVolumesMax: number): number {
  return 3 * openVolumesMax + 8;
}

/** May be asked at any time. */
export function checkOpenFiles(world: World): void {
  for (const { name, host } of world.processes) {
    const count = host?.disk.openFileCount ?? 0;
    if (count > openFilesMax(world.openVolumesMax)) {
      world.history.violation(`resources: ${name} has ${count} files open, with ${world.openVolumesMax} volumes`);
    }
  }
}

/** What the system holds for a connection, a block of frames beyond it, and what is small. */
const unsentSizeMax = 262_144 + 180 * 1474 + 65_536;
/** Reads, writes and syncs of all volumes that may be open, and of the arena's buffers. */
const diskOperationsMax = 200;

/** May be asked at any time: nobody writes to who does not read, or asks a slow disk without end. */
export function checkQueues(world: World): void {
  for (const { localHost, queuedSize } of world.simulation.network.connections) {
    world.coverage.most("bytes queued on a connection", queuedSize);
    if (queuedSize <= unsentSizeMax || localHost === "client") continue;
    world.history.violation(`resources: ${localHost} has ${queuedSize} bytes on their way on one connection`);
  }
  for (const { name, host } of world.processes) {
    const count = host?.disk.underWayCount ?? 0;
    world.coverage.most("disk operations under way", count);
    if (count > diskOperationsMax) world.history.violation(`resources: ${name} has ${count} operations of its disk`);
  }
}

/** Timers that go on for ever: of intervals, connections and ports. */
const idleTimersMax = 40;

/** Only when nothing is under way. */
export function checkIdleQueues(world: World): void {
  for (const { name, host } of world.processes) {
    const timers = host?.clock.pendingCount ?? 0;
    world.coverage.most("timers of an idle process", timers);
    if (timers > idleTimersMax) world.history.violation(`resources: ${name} is idle with ${timers} timers`);
    const operations = host?.disk.underWayCount ?? 0;
    world.coverage.most("disk operations of an idle process", operations);
  }
}

/** Of a process that has closed in order. */
export function checkClosed(
  world: World,
  name: string,
  host: SimulatedHost,
  { kernel, arena }: { readonly kernel: Kernel; readonly arena: ArenaSizes },
): void {
  const { openFileCountAtKill: files } = host.disk;
  if (files > 0) world.history.violation(`resources: ${name} closed with ${files} files open`);
  for (const kind of ["tiny", "block", "group"] as const) {
    const taken = arena[kind] - kernel.freeCount(kind);
    // Whose connection to a putter is just being made has its block of frames until that comes to nothing.
    if (taken > (kind === "block" ? world.putters.length : 0))
      world.history.violation(`resources: ${name} closed with ${taken} ${kind} buffers taken`);
  }
}

/** Only when nothing is under way. */
export function checkMemory(world: World): void {
  for (const { name, running } of world.routers) {
    if (running === undefined) continue;
    const { kernel, arena, local, putters } = running;
    // A connection for tickets has a block for its frames, a volume store a page to look at tickets with.
    const frames = putters.filter(({ available }) => available).length;
    compare(world, name, kernel, {
      tiny: arena.tiny - (local === undefined ? 0 : 1),
      block: arena.block - frames,
      group: arena.group,
    });
  }
  for (const { name, running } of world.putters) {
    if (running === undefined) continue;
    const { kernel, arena } = running;
    // A block for responses.
    compare(world, name, kernel, { tiny: arena.tiny - 1, block: arena.block - 1, group: arena.group });
  }
}

function compare(
  world: World,
  name: string,
  kernel: Kernel,
  free: { tiny: number; block: number; group: number },
): void {
  for (const kind of ["tiny", "block", "group"] as const) {
    const count = kernel.freeCount(kind);
    if (count === free[kind]) continue;
    world.history.violation(`resources: ${name} is idle with ${count} free ${kind} buffers, and had ${free[kind]}`);
  }
}
