/** Keys: any UTF-8 of 1 to 1024 bytes but NUL. */
import { keySizeMax } from "../../../core/limits.ts";
import { invalidArgument, S3Error } from "./error.ts";

export function checkKey(key: string): void {
  // A key of so few characters cannot have more bytes.
  if (key.length * 3 > keySizeMax) {
    const size = Buffer.byteLength(key);
    if (size > keySizeMax) {
      throw new S3Error("KeyTooLongError", undefined, {
        elements: { Size: String(size), MaxSizeAllowed: String(keySizeMax) },
      });
    }
  }
  if (key.includes("\0")) throw invalidArgument("key", key, "An object key cannot contain a NUL character.");
}
