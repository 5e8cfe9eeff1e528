/** The store's own named keys for server-side encryption. */
export interface Keyring {
  close?(): void;
}
