/** Figures as a table: each beside its baseline, with its goal and whether it is met. */
import { formatNumber, median, ratioOf, spread } from "./statistics.mjs";

/**
 * A figure: `values` (one a run) in `unit`; `baseline` { name, values } measured in the same runs; `goal` { on: "value"
 * or "ratio", atLeast or atMost }, or none for what is only told.
 */
export function judge(figure) {
  const { name, unit, values, baseline, goal } = figure;
  const value = median(values);
  const ratio = baseline === undefined ? undefined : ratioOf(values, baseline.values);
  const judged = goal === undefined ? undefined : goal.on === "ratio" ? ratio : value;
  const met =
    judged === undefined ? undefined : judged >= (goal.atLeast ?? -Infinity) && judged <= (goal.atMost ?? Infinity);
  return {
    figure: name,
    value,
    unit,
    spread: spread(values),
    values,
    ...(baseline === undefined
      ? {}
      : { baseline: baseline.name, baselineValue: median(baseline.values), baselineValues: baseline.values, ratio }),
    ...(goal === undefined ? {} : { goal: goalText(goal, unit), met }),
  };
}

const columns = [
  { title: "figure", of: ({ figure }) => figure },
  { title: "median", of: ({ value }) => formatNumber(value), right: true },
  { title: "unit", of: ({ unit }) => unit },
  { title: "spread", of: (row) => `±${Math.round(row.spread * 50)} %`, right: true },
  { title: "baseline", of: ({ baseline }) => baseline ?? "" },
  {
    title: "median",
    of: ({ baselineValue }) => (baselineValue === undefined ? "" : formatNumber(baselineValue)),
    right: true,
  },
  { title: "ratio", of: ({ ratio }) => (ratio === undefined ? "" : formatNumber(ratio)), right: true },
  { title: "goal", of: ({ goal }) => goal ?? "" },
  { title: "", of: ({ met }) => (met === undefined ? "" : met ? "met" : "MISSED") },
];

export function formatTable(rows) {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ of }) => of(row)))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index].length)));
  return cells
    .map((line) =>
      line.map((cell, index) => (columns[index].right ? cell.padStart(widths[index]) : cell.padEnd(widths[index]))),
    )
    .map((line) => line.join("  ").trimEnd())
    .join("\n");
}

export function formatProfile({ name, top }) {
  const lines = top.map(
    (entry) =>
      `  ${(entry.share * 100).toFixed(1).padStart(5)} %  ${formatNumber(entry.milliseconds).padStart(7)} ms  ${entry.name}`,
  );
  return [`profile: ${name} (JavaScript thread, own time)`, ...lines].join("\n");
}

function goalText({ on, atLeast, atMost }, unit) {
  const limit = atLeast === undefined ? `≤ ${formatNumber(atMost)}` : `≥ ${formatNumber(atLeast)}`;
  return on === "ratio" ? `ratio ${limit}` : `${limit} ${unit}`;
}
