/** The package's own entry: `import { openStore } from "data-putter"`. */
export { StoreError, type ErrorCode } from "./core/errors.ts";
export { openStore, type OpenStoreOptions } from "./library/open-store.ts";
export type * from "./library/store.ts";
