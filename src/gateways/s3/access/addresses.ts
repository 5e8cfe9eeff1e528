/** IP addresses and ranges of them, for aws:SourceIp. */

export interface AddressRange {
  /** 16 bytes as a number; IPv4 as ::ffff:a.b.c.d. */
  readonly base: bigint;
  /** Bits of 128 that count. */
  readonly bits: number;
  readonly isIpv4: boolean;
}

const mapped = 0xffffn << 32n;

/** `192.0.2.0/24`, `2001:db8::/32`, or one address. */
export function parseRange(text: string): AddressRange | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const { isIpv4 } = address;
  const most = isIpv4 ? 32 : 128;
  const length = slash < 0 ? String(most) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length) || Number(length) > most) return undefined;
  return { base: address.value, bits: Number(length) + (isIpv4 ? 96 : 0), isIpv4 };
}

export function isWithin(range: AddressRange, text: string): boolean {
  const address = parseAddress(text);
  if (address === undefined) return false;
  const ignored = BigInt(128 - range.bits);
  return address.value >> ignored === range.base >> ignored;
}

function parseAddress(text: string): { readonly value: bigint; readonly isIpv4: boolean } | undefined {
  if (!text.includes(":")) {
    const value = parseIpv4(text);
    return value === undefined ? undefined : { value: mapped | value, isIpv4: true };
  }
  const value = parseIpv6(text.replace(/%.*$/, ""));
  return value === undefined ? undefined : { value, isIpv4: false };
}

function parseIpv4(text: string): bigint | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const bytes = match.slice(1).map(Number);
  if (bytes.some((byte) => byte > 255)) return undefined;
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(groupsOf);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const zeros = Array.from({ length: missing }, () => 0);
  return [...head, ...zeros, ...(tail ?? [])].reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    const ipv4 = index === parts.length - 1 && part.includes(".") ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(Number(ipv4 >> 16n), Number(ipv4 & 0xffffn));
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
