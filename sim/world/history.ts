/**
 * What clients asked and were told, for the checkers. Every value that a write makes has a tag, a number that is used
 * once and kept in the version's attributes, so that whoever reads a version knows which write it is of.
 */
import { StoreError } from "../../src/core/errors.ts";
import type { Versioning } from "../../src/datastore/datastore.ts";
import { CommitRefused } from "../datastore/simulated-store.ts";
import type { Content } from "./contents.ts";

/** What must hold of the newest version, by tag. `object`: the tags that share an object with it count, too. */
export type Wanted =
  | { readonly kind: "absent" | "present" }
  | { readonly kind: "tag"; readonly tag: number }
  | { readonly kind: "object"; readonly object: number };

export type Input =
  | { readonly kind: "put"; readonly tag: number; readonly wanted: Wanted | undefined }
  | { readonly kind: "delete"; readonly tag: number; readonly wanted: Wanted | undefined }
  /** `tag` undefined: the null version. */
  | { readonly kind: "deleteVersion"; readonly tag: number | undefined }
  | { readonly kind: "setVersioning"; readonly versioning: Versioning }
  /** The newest version or delete marker. */
  | { readonly kind: "newest" }
  /** The newest version, nothing where that is a delete marker. */
  | { readonly kind: "live" }
  /** All versions and delete markers, newest first. */
  | { readonly kind: "stack" };

/** `unknown`: it happened, or will have, or never does. `refused`: it never does, whatever it would have met. */
export type Answer =
  | { readonly kind: "done" }
  | { readonly kind: "conflict" }
  | { readonly kind: "missing" }
  | { readonly kind: "refused" }
  | { readonly kind: "tags"; readonly tags: readonly number[] }
  | { readonly kind: "unknown" };

export interface Operation {
  readonly id: number;
  readonly client: string;
  readonly input: Input;
  readonly calledAt: number;
  /** Infinity while it is under way, and for ever where the answer is unknown. */
  returnedAt: number;
  answer: Answer;
}

/** A multipart upload that was neither completed nor aborted. */
export interface OpenUpload {
  readonly upload: string;
  readonly bucket: string;
  readonly key: string;
  /** `possible`: what was sent since the last answer; one of it, or what was before, is there. */
  readonly parts: Map<number, { readonly acknowledged: Content | undefined; readonly possible: Content[] }>;
}

export class History {
  /** By bucket NUL key. */
  readonly files = new Map<string, Operation[]>();
  readonly contents = new Map<number, Content>();
  readonly uploads = new Map<string, OpenUpload>();
  /** The object that a tag's version refers to, where that is known. */
  readonly objectOfTag = new Map<number, number>();
  /** Reads and listings that were not as they have to be, found on the way. */
  readonly violations: string[] = [];
  operationCount = 0;
  #next = 0;
  #nextTag = 1;

  /** Whether another write of this file than that of `tag` was answered. */
  isWritten(bucket: string, key: string, tag: number): boolean {
    const operations = this.files.get(`${bucket}\0${key}`) ?? [];
    return operations.some(({ input, answer }) => input.kind === "put" && input.tag !== tag && answer.kind === "done");
  }

  newTag(content: Content): number {
    const tag = this.#nextTag++;
    this.contents.set(tag, content);
    return tag;
  }

  now(): number {
    return ++this.#next;
  }

  begin(bucket: string, key: string, client: string, input: Input): Operation {
    const calledAt = this.now();
    const operation: Operation = {
      id: calledAt,
      client,
      input,
      calledAt,
      returnedAt: Number.POSITIVE_INFINITY,
      answer: { kind: "unknown" },
    };
    const name = `${bucket}\0${key}`;
    const known = this.files.get(name);
    if (known === undefined) this.files.set(name, [operation]);
    else known.push(operation);
    return operation;
  }

  end(operation: Operation, answer: Answer): void {
    operation.answer = answer;
    if (answer.kind !== "unknown") operation.returnedAt = this.now();
  }

  violation(text: string): void {
    this.violations.push(text);
  }
}

/** The client itself left in the middle of its write: nobody asked for a commit. */
export class GivenUp extends StoreError {
  constructor() {
    super("ABORTED", "the client went away");
  }
}

/** What a refusal tells of a write: that it did not happen and why, or nothing. */
export function answerOf(error: unknown): Answer {
  if (error instanceof CommitRefused || error instanceof GivenUp) return { kind: "refused" };
  if (!(error instanceof StoreError)) return { kind: "unknown" };
  if (error.code === "CONFLICT") return { kind: "conflict" };
  return error.code === "NOT_FOUND" ? { kind: "missing" } : { kind: "unknown" };
}

/** Errors that no fault explains: bugs. */
export function isBug(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === "INVALID" || error.code === "INCOMPATIBLE";
  return (error as { code?: unknown }).code === undefined;
}
