/** The commands as somebody types them, against services on free ports. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Outcome, type RunOptions, type Service, Workplace } from "./program.ts";

/** A router or server, and what it said of itself under `--json`. */
export interface RunningService {
  readonly service: Service;
  readonly root: string;
  readonly pid: number;
  readonly port: number;
  readonly responsePort: number;
  readonly fingerprint: string;
}

export class CommandLine {
  readonly place: Workplace;
  /** Where commands run. */
  readonly folder: string;

  private constructor(place: Workplace, folder: string) {
    this.place = place;
    this.folder = folder;
  }

  static async make(): Promise<CommandLine> {
    const place = await Workplace.make();
    return new CommandLine(place, await place.folder("work"));
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  read(name: string): Promise<Buffer> {
    return readFile(this.path(name));
  }

  run(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Outcome> {
    return this.place.run("data-putter", args, { cwd: this.folder, ...options });
  }

  /** Starts `router` or `server` with its data in `root`, below the folder. */
  async start(role: "router" | "server", root: string, ...args: readonly string[]): Promise<RunningService> {
    const ports = role === "router" ? ["--port", "0", "--response-port", "0"] : ["--port", "0"];
    const all = [role, "--root", root, "--json", ...ports, ...args];
    const service = await this.place.start("data-putter", all, { cwd: this.folder, ready: /\n/ });
    const said = JSON.parse(service.stdout()) as Record<string, unknown>;
    return {
      service,
      root: this.path(root),
      pid: said["pid"] as number,
      port: (said["streamPort"] ?? said["port"]) as number,
      responsePort: said["responsePort"] as number,
      fingerprint: said["fingerprint"] as string,
    };
  }
}

export function clientOf({ root, port, responsePort }: RunningService): { readonly env: Record<string, string> } {
  return {
    env: {
      DATA_PUTTER_PORT: String(port),
      DATA_PUTTER_RESPONSE_PORT: String(responsePort),
      DATA_PUTTER_KEY_FILE: path.join(root, "key"),
    },
  };
}
