import { runSeed } from "./run-seed.ts";
const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 1);
const lines: string[] = [];
process.on("unhandledRejection", (e) => { console.log("UNHANDLED", e); });
for (let seed = first; seed < first + count; seed++) {
  lines.length = 0;
  const at = performance.now();
  const r = await runSeed({ seed, ...(process.argv[4] ? { writeTrace: (l: string) => lines.push(l) } : {}) });
  console.log(seed, r.hash, `${(performance.now() - at).toFixed(0)}ms`, r.events, r.workEvents, (r.simulatedMs/1000).toFixed(0)+"s", "ops", r.operations, "v", r.versions, "restarts", r.restarts, "und", r.undecided, r.description.slice(0,60), [...r.faults.values()].reduce((a,b)=>a+b,0));
  for (const v of r.violations.slice(0,3)) console.log("   ", v);
  if (process.argv[4]) { const { writeFileSync } = await import("node:fs"); writeFileSync(process.argv[4], lines.join("\n")); }
}
