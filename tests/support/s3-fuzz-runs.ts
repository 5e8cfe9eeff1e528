/** The fuzzers' runs, for as long as they are given. fast-check prints the seed of what fails. */
import fc from "fast-check";
import { fuzzFor } from "./fuzz-run.ts";
import { chunked, form, type FuzzRequest, fuzzRequest, mutated, type S3Target, traffic } from "./s3-fuzz.ts";
import { S3Socket } from "./s3-session.ts";
import { wireBytes } from "./s3-signer.ts";

/** `least`: so many cases, of up to twenty requests each; the number of requests. */
export async function fuzzGrammar(target: S3Target, milliseconds: number, least = 1): Promise<number> {
  let count = 0;
  const check = async (requests: readonly FuzzRequest[]): Promise<void> => {
    for (const request of requests) {
      count++;
      const problem = await target.problem(request);
      if (problem !== undefined) throw new Error(`${problem}\n${JSON.stringify(request)}`);
    }
    if (count % 100 >= requests.length) return;
    await target.prepare();
    const inconsistency = await target.inconsistency();
    if (inconsistency !== undefined) throw new Error(inconsistency);
  };
  await fuzzFor(milliseconds, fc.array(fuzzRequest, { minLength: 1, maxLength: 20 }), check, least);
  return count;
}

/** Good requests with bytes changed: whatever comes of it, the next request is answered. */
export async function fuzzBytes(target: S3Target, milliseconds: number, least = 1): Promise<number> {
  const { session } = target;
  const good = [
    ...traffic(session),
    ...chunked(session, Buffer.alloc(9_000, "c")).map((one) => wireBytes(one)),
    wireBytes(form(session)),
  ];
  const texts = good.map((bytes) => Buffer.from(bytes).toString("latin1"));
  const request = fc.nat(texts.length - 1).chain((index) => mutated(texts[index]!));
  const check = async (text: string): Promise<void> => {
    const logged = session.logged.length;
    const socket = await S3Socket.connect(session.port);
    socket.send(Buffer.from(text, "latin1"));
    socket.tcp.end();
    const said = await socket.tcp.rest();
    socket.close();
    const answer = said.toString("latin1");
    if (answer !== "" && !/^HTTP\/1\.1 [1-4]\d\d |^HTTP\/1\.1 501 /.test(answer))
      throw new Error(`${answer}\n${JSON.stringify(text)}`);
    const failure = session.logged.slice(logged).find((line) => /"level":"error"|"stack"/.test(line));
    if (failure !== undefined) throw new Error(`${failure}\n${JSON.stringify(text)}`);
  };
  const count = await fuzzFor(milliseconds, request, check, least);
  const inconsistency = await target.inconsistency();
  if (inconsistency !== undefined) throw new Error(inconsistency);
  if (!(await session.works())) throw new Error("the next request is not answered");
  return count;
}
