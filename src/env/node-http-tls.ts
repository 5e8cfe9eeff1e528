/**
 * Certificate and key of a server, from files that somebody renews while it runs. A watched file may be replaced in ways
 * that watchers miss (renamed over, on a mount), so that its facts are asked for now and then. The two files change one
 * after the other: a pair that does not fit together is no pair yet, and the old one stays.
 */
import { readFile, stat } from "node:fs/promises";
import tls from "node:tls";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Clock, Log, Timer } from "./host.ts";

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateContext {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: "TLSv1.2";
}

export interface Certificate {
  readonly context: CertificateContext;
  /** Calls with each new pair that is good. */
  follow(use: (context: CertificateContext) => void): void;
  close(): void;
}

/** Throws INVALID where the pair cannot be used. */
export async function openCertificate(files: CertificateFiles, clock: Clock, log: Log): Promise<Certificate> {
  let seen = await factsOf(files);
  let timer: Timer | undefined;
  let isClosed = false;
  const context = await readPair(files);

  const look = async (use: (context: CertificateContext) => void): Promise<void> => {
    const facts = await factsOf(files);
    if (facts === seen) return;
    seen = facts;
    try {
      const fresh = await readPair(files);
      if (isClosed) return;
      use(fresh);
      log.info("the TLS certificate was read again", { file: files.cert });
    } catch (error) {
      log.error("a new TLS certificate is not used: the old one stays", { error: messageOf(error) });
    }
  };
  const follow = (use: (context: CertificateContext) => void): void => {
    timer = clock.after(limits.tlsCheckMs, () => {
      void look(use).then(() => {
        if (!isClosed) follow(use);
      });
    });
  };
  return {
    context,
    follow,
    close: () => {
      isClosed = true;
      timer?.cancel();
    },
  };
}

async function readPair(files: CertificateFiles): Promise<CertificateContext> {
  try {
    const [cert, key] = await Promise.all([readFile(files.cert), readFile(files.key)]);
    const context: CertificateContext = { cert, key, minVersion: "TLSv1.2" };
    // Throws where one is not what it should be, or the key is another certificate's.
    tls.createSecureContext(context);
    return context;
  } catch (error) {
    const what = `TLS certificate ${files.cert} with key ${files.key}`;
    throw new StoreError("INVALID", `${what} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

/** What changes when a file does; a file that cannot be looked at is a change, too. */
async function factsOf({ cert, key }: CertificateFiles): Promise<string> {
  const facts = await Promise.all(
    [cert, key].map((path) =>
      stat(path).then(
        ({ ino, size, mtimeMs }) => `${ino} ${size} ${mtimeMs}`,
        (error: unknown) => messageOf(error),
      ),
    ),
  );
  return facts.join(" | ");
}
