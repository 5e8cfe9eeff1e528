/** `--access-log`: where the lines of an access log go, opened again when a program that rotates logs sends SIGHUP. */
import type { Host } from "../env/host.ts";
import { openLineFile } from "../env/node-line-file.ts";
import { type AccessLog, accessLogTo } from "../gateways/s3/access-log.ts";

export interface AccessLogFile {
  readonly log: AccessLog;
  close(): Promise<void>;
}

/** `path` undefined: none. */
export async function openAccessLog(path: string | undefined, host: Host): Promise<AccessLogFile | undefined> {
  if (path === undefined) return undefined;
  const lines = await openLineFile({ path, clock: host.clock, log: host.log });
  const reopen = (): void => void lines.reopen();
  process.on("SIGHUP", reopen);
  return {
    log: accessLogTo((line) => lines.write(line)),
    close: async () => {
      process.off("SIGHUP", reopen);
      await lines.close();
    },
  };
}
