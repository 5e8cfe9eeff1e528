/** An S3 server for test suites: what `startServer` takes and gives. */
import type { Clock, Log } from "../env/host.ts";
import type { HttpLimits } from "../env/http.ts";
import type { Credentials } from "./store.ts";

export interface CorsRule {
  readonly origins: readonly string[];
  readonly methods: readonly ("GET" | "PUT" | "HEAD" | "POST" | "DELETE")[];
  readonly headers?: readonly string[];
  readonly expose?: readonly string[];
  /** Seconds. */
  readonly maxAge?: number;
}

/** A bucket that is there from the start. Documents are taken as S3's own operations take them, and refused as they refuse. */
export interface ServerBucket {
  readonly name: string;
  readonly versioning?: boolean;
  /** With `true`, or what new versions are retained by. Object lock comes with versioning. */
  readonly objectLock?: boolean | { readonly mode: "GOVERNANCE" | "COMPLIANCE"; readonly days: number };
  /** Rules, or a CORSConfiguration in XML. */
  readonly cors?: readonly CorsRule[] | string;
  /** A bucket policy, as an object or in JSON. */
  readonly policy?: object | string;
  /** A LifecycleConfiguration in XML. */
  readonly lifecycle?: string;
  /** Name of one of `users`; root without it. */
  readonly owner?: string;
}

/** An account of its own, or with `account`, `readOnly` or `buckets` a key within one (root's where none is named). */
export interface ServerUser {
  readonly name: string;
  readonly email?: string;
  readonly account?: string;
  readonly readOnly?: boolean;
  /** Limited to these. */
  readonly buckets?: readonly string[];
  /** Made by chance where they are not given. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
}

interface CommonOptions {
  /** 0 (default) takes a free one. */
  readonly port?: number;
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** Root's access key; both or none. In memory `S3RVER` and `S3RVER`; in a directory, the ones that it has. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly users?: readonly ServerUser[];
  readonly buckets?: readonly (string | ServerBucket)[];
  /** us-east-1 by default; signatures for any region are taken. */
  readonly region?: string;
  /** Host names whose sub-domains are buckets; `localhost` by default. */
  readonly domains?: readonly string[];
  /** `fakeClock()`: for dates, lifecycle, object lock, presigned URLs and signatures. */
  readonly clock?: Clock;
  /** How long lifecycle rules take a day to be; 86,400,000 by default. */
  readonly dayMs?: number;
  readonly limits?: Partial<HttpLimits>;
  /** PEM files; then it is https. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Nothing is logged by default. */
  readonly log?: Log;
}

export type StartServerOptions = CommonOptions &
  (
    | {
        /** Keeps nothing: a directory of its own, in memory where the system has room there, that goes with the server. */
        readonly inMemory: true;
        readonly root?: undefined;
      }
    | {
        /** A data directory, as of `data-putter router --root`. */
        readonly root: string;
        readonly inMemory?: false;
        readonly durability?: "disk" | "os";
        /** The store's key, 32 hex digits, where it is not in the directory. */
        readonly key?: string;
      }
  );

/** What `new S3Client` of the AWS SDK takes. */
export interface ClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: Credentials;
  readonly forcePathStyle: true;
}

export interface Server extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly credentials: Credentials;
  /** Buckets are in the path: no name has to be resolved. */
  readonly forcePathStyle: true;
  readonly config: ClientConfig;
  /** The access keys of `users`, by name. */
  readonly users: { readonly [name: string]: Credentials };
  /**
   * Between tests: removes all objects, versions, uploads and buckets, object lock or not, and makes the buckets of the options
   * again, as they were. Users stay. Requests that are under way may or may not be seen.
   */
  reset(): Promise<void>;
  /** Carries out lifecycle rules now. They are also carried out in the background, as the clock goes on. */
  runLifecycle(): Promise<void>;
  close(): Promise<void>;
}
