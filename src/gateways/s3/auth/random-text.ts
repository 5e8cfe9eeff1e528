/** Access keys and secrets by chance. */
import type { Random } from "../../../env/host.ts";

const upperAndDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const lettersAndDigits = `${upperAndDigits}abcdefghijklmnopqrstuvwxyz`;

/** 20 characters of A-Z and 0-9. */
export function randomAccessKey(random: Random): string {
  return randomText(random, upperAndDigits, 20);
}

/** 40 characters (238 bits) of letters and digits: of the other characters of base64, some programs make a mess. */
export function randomSecretKey(random: Random): string {
  return randomText(random, lettersAndDigits, 40);
}

/** 64 hex digits. */
export function randomAccountId(random: Random): string {
  return Buffer.from(random.bytes(32)).toString("hex");
}

function randomText(random: Random, alphabet: string, length: number): string {
  // Bytes beyond the last multiple are thrown away, so that every character is equally likely.
  const end = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of random.bytes(length)) {
      if (byte < end && text.length < length) text += alphabet[byte % alphabet.length]!;
    }
  }
  return text;
}
