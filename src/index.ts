/** The package's own entry: `import { openStore, startServer } from "data-putter"` (docs/library.md). */
export { StoreError, type ErrorCode } from "./core/errors.ts";
export type { Clock, Log, Timer } from "./env/host.ts";
export type { HttpLimits } from "./env/http.ts";
export { fakeClock, type FakeClock } from "./library/fake-clock.ts";
export { openStore, type OpenStoreOptions } from "./library/open-store.ts";
export type * from "./library/server.ts";
export { startServer } from "./library/start-server.ts";
export type * from "./library/store.ts";
