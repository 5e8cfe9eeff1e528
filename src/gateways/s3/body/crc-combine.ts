/**
 * The CRC of an object from those of its parts, without its bytes: CRC(A ‖ B) is CRC(A) shifted by the length of B, which is
 * a multiplication by x^(8·length) in GF(2)[x] modulo the polynomial, xor CRC(B). As zlib's crc32_combine does it, for any
 * width: polynomials are bit-reversed, the highest bit is x^0.
 */
export type CrcAlgorithm = "crc32" | "crc32c" | "crc64nvme";

/** A part's CRC, big-endian, and its bytes. */
export interface CrcPart {
  readonly crc: Uint8Array;
  readonly size: number;
}

interface Field {
  readonly width: number;
  readonly polynomial: bigint;
}

const fields: { readonly [Name in CrcAlgorithm]: Field } = {
  crc32: { width: 32, polynomial: 0xedb88320n },
  crc32c: { width: 32, polynomial: 0x82f63b78n },
  crc64nvme: { width: 64, polynomial: 0x9a6c9329ac4bc9b5n },
};

/** Big-endian, of all parts in their order; that of nothing is zero. */
export function combineCrcs(algorithm: CrcAlgorithm, parts: Iterable<CrcPart>): Uint8Array {
  const field = fields[algorithm];
  let crc = 0n;
  // Parts are mostly of one size: the costly half is done once.
  let shift = { size: 0, factor: powerOfX(field, 0) };
  for (const part of parts) {
    if (part.size !== shift.size) shift = { size: part.size, factor: powerOfX(field, part.size) };
    crc = multiply(field, shift.factor, crc) ^ toNumber(part.crc);
  }
  return toBytes(crc, field.width / 8);
}

/** x^(8·size) modulo the polynomial, by squaring. */
function powerOfX(field: Field, size: number): bigint {
  let power = 1n << BigInt(field.width - 1);
  let square = 1n << BigInt(field.width - 9);
  for (let rest = BigInt(size); rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) power = multiply(field, square, power);
    square = multiply(field, square, square);
  }
  return power;
}

function multiply({ width, polynomial }: Field, a: bigint, b: bigint): bigint {
  let product = 0n;
  let term = b;
  for (let bit = BigInt(width - 1); bit >= 0n; bit--) {
    if (((a >> bit) & 1n) === 1n) product ^= term;
    term = (term & 1n) === 1n ? (term >> 1n) ^ polynomial : term >> 1n;
  }
  return product;
}

function toNumber(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = size - 1, rest = value; index >= 0; index--, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  return bytes;
}
