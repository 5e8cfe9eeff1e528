/**
 * Reads the records of versions for listings, where a page parses a thousand of them and JSON.parse is most of its price:
 * two thirds of it for what is nearly always there, and JSON.parse itself for everything else. Records in a row have the
 * same names in the same order, so that a name is compared with the one at its place in the record before.
 */
import type { Attributes, Json } from "./datastore.ts";
import type { ObjectId } from "../core/ids.ts";
import { parseRecord, type StoredVersion } from "./records.ts";

/** What JSON.parse has to see to. */
const unusual = Symbol("unusual");
/** More are not exact when they are added up. */
const digitsMax = 15;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const open = 0x7b;
const close = 0x7d;

export class VersionParser {
  /** Names by their place in a record, as keys of objects and as they are written. */
  readonly #names: string[] = [];
  readonly #written: string[] = [];
  #text = "";
  #at = 0;
  #nameIndex = 0;

  /** As `parseRecord` of a text that JSON.stringify made. */
  parse(key: string, text: string): StoredVersion {
    return this.#usual(text) ?? parseRecord<StoredVersion>(key, text);
  }

  #usual(text: string): StoredVersion | undefined {
    // Then every quote begins or ends a string.
    if (text.includes("\\") || !text.startsWith('{"order":')) return undefined;
    this.#text = text;
    this.#nameIndex = 0;
    this.#at = '{"order":'.length;
    const order = this.#number();
    const isNull = this.#skip(',"null":true');
    const createdAt = this.#skip(',"createdAt":') ? this.#number() : undefined;
    const object = this.#skip(',"object":') ? this.#number() : undefined;
    const size = this.#skip(',"size":') ? this.#number() : undefined;
    if (order === undefined || createdAt === undefined || object === undefined || size === undefined) return undefined;
    if (!this.#skip(',"attributes":')) return undefined;
    const attributes = this.#value();
    if (attributes === unusual || this.#at !== text.length - 1 || text.charCodeAt(this.#at) !== close) return undefined;
    const rest = { createdAt, object: object as ObjectId, size, attributes: attributes as Attributes };
    return isNull ? { order, null: true, ...rest } : { order, ...rest };
  }

  #skip(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #value(): Json | typeof unusual {
    const first = this.#text.charCodeAt(this.#at);
    if (first === quote) return this.#string();
    if (first === open) return this.#object();
    if (this.#skip("true")) return true;
    return this.#number() ?? unusual;
  }

  #string(): string | typeof unusual {
    const start = this.#at + 1;
    const end = this.#text.indexOf('"', start);
    if (end < 0) return unusual;
    this.#at = end + 1;
    return this.#text.slice(start, end);
  }

  #object(): Attributes | typeof unusual {
    const text = this.#text;
    const made: { [name: string]: Json } = {};
    this.#at++;
    if (text.charCodeAt(this.#at) === close) {
      this.#at++;
      return made;
    }
    for (;;) {
      const name = this.#name();
      const value = name === unusual ? unusual : this.#value();
      if (name === unusual || value === unusual) return unusual;
      made[name] = value;
      const next = text.charCodeAt(this.#at++);
      if (next === close) return made;
      if (next !== comma) return unusual;
    }
  }

  #name(): string | typeof unusual {
    const index = this.#nameIndex++;
    const written = this.#written[index];
    if (written !== undefined && this.#skip(written)) return this.#names[index]!;
    if (this.#text.charCodeAt(this.#at) !== quote) return unusual;
    const name = this.#string();
    // An object literal would take it for something else.
    if (name === unusual || name === "__proto__" || this.#text.charCodeAt(this.#at++) !== colon) return unusual;
    this.#names[index] = name;
    this.#written[index] = `"${name}":`;
    return name;
  }

  /** A whole number from 0 on; undefined where it is another one, or none. */
  #number(): number | undefined {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    let number = 0;
    for (; ; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      number = number * 10 + digit;
    }
    const count = at - start;
    const next = text.charCodeAt(at);
    const isUsual = count >= 1 && count <= digitsMax && (next === comma || next === close);
    if (!isUsual || (count > 1 && text.charCodeAt(start) === 0x30)) return undefined;
    this.#at = at;
    return number;
  }
}
