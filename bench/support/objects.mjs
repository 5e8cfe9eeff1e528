/** The ObjectID in a router's answer to a stream. */
export function objectOf(line) {
  return /^OBJECT (\w+) WRITTEN OK$/.exec(line)[1];
}
