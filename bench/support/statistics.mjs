/** Medians and spreads: the machine is shared, so one run says little. */

export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What share of the median lies between the smallest and the largest. */
export function spread(values) {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

/** Median of each run's value by the baseline of the same run; of the medians, where they were not run in pairs. */
export function ratioOf(values, baseline) {
  if (values.length !== baseline.length) return median(values) / median(baseline);
  return median(values.map((value, index) => value / baseline[index]));
}

/** Three significant digits, thousands grouped. */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}
