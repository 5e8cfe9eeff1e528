import { pino } from "pino";
import type { Log } from "./host.ts";

export { silentLog } from "./silent-log.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines on standard error, so that standard output stays what was asked for. */
export function nodeLog(level: LogLevel): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
  return {
    debug: (message, fields) => logger.debug(fields, message),
    info: (message, fields) => logger.info(fields, message),
    warn: (message, fields) => logger.warn(fields, message),
    error: (message, fields) => logger.error(fields, message),
  };
}
