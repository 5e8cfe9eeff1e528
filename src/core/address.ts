/** Network addresses as people write them: `host:port`, `[::1]:port`. */
import { StoreError } from "./errors.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** INVALID, with `name` as the field, where the text is no address. */
export function parseAddress(text: string, name: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)(%[\w.-]+)?\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[4]);
  // Only an IPv6 address is in brackets: anything else would be written without them, and be another address.
  const isHost = match !== null && (match[1] === undefined || URL.canParse(`http://[${match[1]}]`));
  if (!isHost || port < 1 || port > 65_535) {
    throw new StoreError("INVALID", `${name}: host:port with a port from 1 to 65535, not ${JSON.stringify(text)}`);
  }
  return { host: match[3] ?? match[1]! + (match[2] ?? ""), port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
