/** Answers, made plainly. Request ids and dates are added by the gateway. */
import type { HttpAnswer } from "../../../env/http.ts";

export type AnswerHeaders = { readonly [name: string]: string | number };

const none: AnswerHeaders = {};

/** 200 with nothing in it. */
export function empty(headers: AnswerHeaders = none): HttpAnswer {
  return { status: 200, headers, body: "" };
}

/** 204. */
export function noContent(headers: AnswerHeaders = none): HttpAnswer {
  return { status: 204, headers };
}

export function xml(text: string, headers: AnswerHeaders = none): HttpAnswer {
  return { status: 200, headers: { "Content-Type": "application/xml", ...headers }, body: text };
}

/** As `xml`, for what is long: encoded once, rather than by everybody who asks how long it is. */
export function longXml(text: string): HttpAnswer {
  return { status: 200, headers: { "Content-Type": "application/xml" }, body: Buffer.from(text) };
}

export function json(text: string, headers: AnswerHeaders = none): HttpAnswer {
  return { status: 200, headers: { "Content-Type": "application/json", ...headers }, body: text };
}
