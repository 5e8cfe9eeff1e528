import { expect, test } from "vitest";
import { accessLogTo } from "./access-log.ts";

test("a request is one line of JSON, whatever is in its key", () => {
  const lines: string[] = [];
  accessLogTo((line) => lines.push(line))({
    time: 0,
    requestId: "R1",
    peer: "127.0.0.1",
    user: undefined,
    operation: "GetObject",
    method: "GET",
    bucket: "b",
    key: 'a"\nb\u2028',
    status: 200,
    code: undefined,
    bytesIn: 0,
    bytesOut: 5,
    milliseconds: 1.23456,
  });
  expect(lines.length).toBe(1);
  expect(lines[0]).not.toContain("\n");
  expect(JSON.parse(lines[0]!)).toEqual({
    time: "1970-01-01T00:00:00.000Z",
    requestId: "R1",
    peer: "127.0.0.1",
    operation: "GetObject",
    method: "GET",
    bucket: "b",
    key: 'a"\nb\u2028',
    status: 200,
    bytesIn: 0,
    bytesOut: 5,
    ms: 1.235,
  });
});
