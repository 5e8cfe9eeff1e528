/**
 * Questions and answers between a process and its child, over Node's own channel: in order, and gone with either of them.
 * What is sent is JSON. Errors travel as code and message.
 */
import { type ErrorCode, messageOf, StoreError } from "../core/errors.ts";

/** What of a process or ChildProcess is used. */
export interface Channel {
  send?(message: unknown, done: (error: Error | null) => void): boolean;
  on(event: "message", take: (message: unknown) => void): unknown;
}

/** By question; what they return, or what it resolves to, is the answer. */
export type Handlers = { readonly [question: string]: (body: never) => unknown };

interface Message {
  readonly ask?: number;
  readonly question?: string;
  readonly answer?: number;
  readonly body?: unknown;
  readonly error?: { readonly code: ErrorCode | undefined; readonly message: string };
}

interface Waiting {
  readonly resolve: (body: never) => void;
  readonly reject: (error: Error) => void;
}

export class ProcessLink {
  readonly #channel: Channel;
  readonly #handlers: Handlers;
  readonly #waiting = new Map<number, Waiting>();
  readonly #answering = new Set<Promise<void>>();
  #number = 0;
  #isClosed = false;

  constructor(channel: Channel, handlers: Handlers) {
    this.#channel = channel;
    this.#handlers = handlers;
    channel.on("message", (message) => this.#take(message as Message));
  }

  /** Rejects with UNAVAILABLE where the other side has gone. */
  ask<Answer>(question: string, body?: unknown): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#isClosed) return reject(gone());
      const number = ++this.#number;
      this.#waiting.set(number, { resolve, reject });
      this.#send({ ask: number, question, body });
    });
  }

  /** The other side has gone. Resolves when what it had asked for is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.values()) reject(gone());
    this.#waiting.clear();
    await Promise.all(this.#answering);
  }

  #send(message: Message): void {
    // That it could not be sent is told by the end of the channel.
    this.#channel.send?.(message, () => undefined);
  }

  #take(message: Message): void {
    if (message.ask !== undefined) {
      const answering = this.#answer(message).finally(() => this.#answering.delete(answering));
      this.#answering.add(answering);
      return;
    }
    const waiting = message.answer === undefined ? undefined : this.#waiting.get(message.answer);
    if (waiting === undefined) return;
    this.#waiting.delete(message.answer!);
    const { error } = message;
    if (error === undefined) waiting.resolve(message.body as never);
    else
      waiting.reject(error.code === undefined ? new Error(error.message) : new StoreError(error.code, error.message));
  }

  async #answer({ ask, question, body }: Message): Promise<void> {
    const answer = ask!;
    try {
      this.#send({ answer, body: await this.#handlers[question!]!(body as never) });
    } catch (error) {
      const code = error instanceof StoreError ? error.code : undefined;
      this.#send({ answer, error: { code, message: messageOf(error) } });
    }
  }
}

function gone(): StoreError {
  return new StoreError("UNAVAILABLE", "the other process has ended");
}
