/**
 * The clients that have a session here, as README's table names them, and how each is found on this machine: every one
 * that PATH leads to, because their versions differ in what they send (checksums, chunks, signatures).
 */
import { execFileSync } from "node:child_process";
import { accessSync, constants, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../support/program.ts";

export interface FoundClient {
  /** The program; for packages of npm, their folder. */
  readonly at: string;
  readonly version: string;
}

interface Client {
  /** Its session is in `<file>.test.ts`. */
  readonly file: string;
  readonly find: () => readonly FoundClient[];
}

export const clients = {
  "AWS SDK for JavaScript": { file: "aws-sdk", find: npmPackage("@aws-sdk/client-s3") },
  "AWS CLI": { file: "aws-cli", find: program("aws", ["--version"], /aws-cli\/(\S+)/) },
  boto3: { file: "boto3", find: program("python3", ["-c", "import boto3; print(boto3.__version__)"], /^(\S+)/) },
  s3cmd: { file: "s3cmd", find: program("s3cmd", ["--version"], /version (\S+)/) },
  rclone: { file: "rclone", find: program("rclone", ["version"], /rclone v(\S+)/) },
  restic: { file: "restic", find: program("restic", ["version"], /restic (\S+)/) },
  s3fs: { file: "s3fs", find: program("s3fs", ["--version"], /V(\S+)/) },
  "minio (npm)": { file: "minio", find: npmPackage("minio") },
  curl: { file: "curl", find: program("curl", ["--version"], /curl (\S+)/) },
} as const satisfies Record<string, Client>;

export type ClientName = keyof typeof clients;

export function findClients(name: ClientName): readonly FoundClient[] {
  return clients[name].find();
}

/** Each program of that name on PATH whose answer to `args` has a version in it, once for each version. */
function program(name: string, args: readonly string[], version: RegExp): Client["find"] {
  return () => {
    const found = new Map<string, FoundClient>();
    for (const at of onPath(name)) {
      const match = version.exec(answerOf(at, args));
      if (match !== null && !found.has(match[1]!)) found.set(match[1]!, { at, version: match[1]! });
    }
    return [...found.values()];
  };
}

function onPath(name: string): readonly string[] {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  const real = new Map<string, string>();
  for (const folder of folders) {
    const at = path.join(folder, name);
    try {
      accessSync(at, constants.X_OK);
      if (!real.has(realpathSync(at))) real.set(realpathSync(at), at);
    } catch {
      // It is not in this folder.
    }
  }
  return [...real.values()];
}

function answerOf(at: string, args: readonly string[]): string {
  try {
    return execFileSync(at, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  } catch {
    // A python3 without boto3, or a shim of something that is not installed.
    return "";
  }
}

function npmPackage(name: string): Client["find"] {
  return () => {
    const at = path.join(projectRoot, "node_modules", name);
    const { version } = JSON.parse(readFileSync(path.join(at, "package.json"), "utf8")) as { version: string };
    return [{ at, version }];
  };
}
