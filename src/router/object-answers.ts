/** What a router says about objects on its response port (docs/formats/wire.md): for who says it, and for who reads it. */
import type { ObjectRecord } from "../datastore/datastore.ts";
import * as limits from "../core/limits.ts";
import {
  fields,
  flag,
  id,
  line,
  listOf,
  oneOf,
  optional,
  orNull,
  type Shape,
  text,
  time,
  tree,
  whole,
} from "../wire/answer-shape.ts";
import type { ObjectName } from "./object-names.ts";
import type { Damage } from "./object-reader.ts";

/** An object as it is told to clients. */
export interface ObjectSummary {
  readonly object: string;
  readonly status: ObjectRecord["status"];
  readonly createdAt: number;
  readonly ticketCount: number;
  readonly writeCount: number;
  readonly size?: number;
  readonly runCount?: number;
  readonly runs?: readonly { readonly first: string; readonly count: number }[];
  readonly volumes?: readonly {
    readonly volume: string;
    readonly putter: string;
    readonly place: string | undefined;
  }[];
  readonly reason?: string;
}

export interface ObjectPage {
  readonly objects: readonly ObjectSummary[];
  readonly more: boolean;
}

/** Before the tickets of a `get`: which bytes of what they are. */
export interface ReadHead {
  readonly object: string;
  readonly size: number;
  readonly offset: number;
  readonly length: number;
}

export interface VerifyProgress {
  /** So far. */
  readonly objects: number;
  readonly tickets: number;
  readonly damages: readonly (Omit<Damage, "object" | "ticket"> & {
    readonly object: string;
    readonly ticket: string;
  })[];
  /** At the beginning: what is wrong with records of the datastore. */
  readonly recordDamages?: readonly string[];
  /** At the end, where something is damaged: what refers to it. */
  readonly names?: readonly (Omit<ObjectName, "object"> & { readonly object: string })[];
}

export interface RouterStatus {
  readonly [name: string]: unknown;
}

// ── as they are read ────────────────────────────────────────────────────────────────────────────────────────────────

const objectSummary = fields<ObjectSummary>({
  object: id,
  status: oneOf("writing", "saved", "error"),
  createdAt: time,
  ticketCount: whole,
  writeCount: whole,
  size: optional(whole),
  runCount: optional(whole),
  runs: optional(listOf(fields<{ first: string; count: number }>({ first: id, count: whole }))),
  volumes: optional(
    listOf(
      fields<{ volume: string; putter: string; place: string | undefined }>({
        volume: line,
        putter: line,
        place: optional(line),
      }),
    ),
  ),
  reason: optional(line),
});

export const statAnswer: Shape<ObjectSummary | null> = orNull(objectSummary);

export const listAnswer: Shape<ObjectPage> = fields<ObjectPage>({
  objects: listOf(objectSummary, limits.pageSizeMax),
  more: flag,
});

export const removeAnswer: Shape<{ readonly removed: boolean }> = fields<{ readonly removed: boolean }>({
  removed: flag,
});

export const readHead: Shape<ReadHead> = fields<ReadHead>({ object: id, size: whole, offset: whole, length: whole });

export const verifyAnswer: Shape<VerifyProgress> = fields<VerifyProgress>({
  objects: whole,
  tickets: whole,
  damages: listOf(
    fields<VerifyProgress["damages"][number]>({
      object: id,
      offset: whole,
      position: whole,
      ticket: id,
      volume: line,
      place: line,
      kind: oneOf("absent", "corrupt", "unreadable"),
    }),
  ),
  recordDamages: optional(listOf(line)),
  names: optional(
    listOf(
      fields<NonNullable<VerifyProgress["names"]>[number]>({
        object: id,
        bucket: line,
        key: text,
        version: optional(line),
        upload: optional(line),
        part: optional(whole),
        offset: whole,
      }),
    ),
  ),
});

/** What a router has to say of itself changes with what it does: any tree, of bounded depth, and no list or plain value. */
export const statusAnswer: Shape<RouterStatus> = (value, place) => {
  fields<object>({})(value, place);
  return tree(limits.statusDepthMax)(value, place) as RouterStatus;
};
