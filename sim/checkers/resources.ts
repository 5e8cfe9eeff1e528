/** Nobody asks for anything: all memory is back but what is held for good, and no more files are open than may be. */
import type { Kernel } from "../../src/core/kernel.ts";
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
