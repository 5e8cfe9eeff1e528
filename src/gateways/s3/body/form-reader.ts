/**
 * A form while it arrives: its fields as soon as the file begins, then the file as a body of its own. In between the
 * client waits, so that who may not do this, or asks for what cannot be, is told before the file is read.
 */
import type { HttpBody } from "../../../env/http.ts";
import { S3Error } from "../protocol/error.ts";
import { type FormEvent, MultipartForm } from "./multipart-form.ts";

type Take = (piece: Uint8Array) => void | Promise<void>;

export interface FormStart {
  /** By name in lower case; of repeated ones the first. */
  readonly fields: ReadonlyMap<string, string>;
  readonly filename: string | undefined;
  /** Size is not known before the end. */
  readonly file: HttpBody;
}

export function readForm(body: HttpBody, boundary: string): Promise<FormStart> {
  return new FormReader(body, boundary).start();
}

class FormReader {
  readonly #body: HttpBody;
  readonly #form: MultipartForm;
  readonly #fields = new Map<string, string>();
  #began: ((start: FormStart) => void) | undefined;
  #take: Take | undefined;
  /** Lets the file's bytes come. */
  #wanted: () => void = () => undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(body: HttpBody, boundary: string) {
    this.#body = body;
    this.#form = new MultipartForm(boundary);
  }

  /** Rejects where there is no file, or the form is wrong before it. */
  start(): Promise<FormStart> {
    return new Promise((resolve, reject) => {
      this.#began = resolve;
      this.#reading = this.#readAll();
      // After the start this does nothing: then it is the file's reader who hears of it.
      this.#reading.catch(reject);
    });
  }

  async #readAll(): Promise<void> {
    // What is given out later must not lie in the connection's memory.
    await this.#body.read((piece) => this.#deliver(this.#form.feed(Buffer.from(piece)), 0));
    this.#form.end();
  }

  #deliver(events: readonly FormEvent[], from: number): void | Promise<void> {
    for (let index = from; index < events.length; index++) {
      const waiting = this.#event(events[index]!);
      if (waiting !== undefined) return waiting.then(() => this.#deliver(events, index + 1));
    }
  }

  #event(event: FormEvent): void | Promise<void> {
    switch (event.kind) {
      case "field": {
        const name = event.name.toLowerCase();
        if (!this.#fields.has(name)) this.#fields.set(name, event.value);
        return undefined;
      }
      case "file": {
        const { filename } = event;
        const wanted = new Promise<void>((resolve) => (this.#wanted = resolve));
        this.#began?.({ fields: this.#fields, filename, file: { size: undefined, read: (take) => this.#read(take) } });
        return wanted;
      }
      case "bytes":
        return this.#take?.(event.bytes);
      case "end":
        return undefined;
    }
  }

  #read(take: Take): Promise<void> {
    if (this.#take !== undefined) throw new S3Error("InternalError", "a file is read once");
    this.#take = take;
    this.#wanted();
    return this.#reading;
  }
}
