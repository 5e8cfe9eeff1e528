/** As much of a Dockerfile's and a .dockerignore's grammar as this project uses; anything else is an error. */

export interface Copy {
  /** The stage that it is copied from; undefined: from the project. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

export type Step = { readonly kind: "copy"; readonly copy: Copy } | { readonly kind: "run"; readonly line: string };

export interface Stage {
  readonly name: string | undefined;
  readonly base: string;
  /** COPY and RUN, in their order. */
  readonly steps: Step[];
  readonly environment: Record<string, string>;
  readonly volumes: string[];
  readonly exposed: string[];
  workdir: string;
  user: string;
  stopSignal: string;
  healthcheck: readonly string[];
  entrypoint: readonly string[];
  command: readonly string[];
}

export interface Dockerfile {
  readonly stages: readonly Stage[];
}

export function parseDockerfile(text: string): Dockerfile {
  const stages: Stage[] = [];
  const lines = text.replaceAll("\\\n", " ").split("\n");
  for (const line of lines) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, instruction, rest] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    if (instruction === undefined || rest === undefined) throw new Error(`not an instruction: ${line}`);
    if (instruction === "FROM") stages.push(stageOf(rest));
    else if (stages.length === 0) throw new Error(`before the first FROM: ${line}`);
    else apply(stages.at(-1)!, instruction, rest);
  }
  return { stages };
}

export function copiesOf({ steps }: Stage): Copy[] {
  return steps.flatMap((step) => (step.kind === "copy" ? [step.copy] : []));
}

export function runsOf({ steps }: Stage): string[] {
  return steps.flatMap((step) => (step.kind === "run" ? [step.line] : []));
}

function stageOf(rest: string): Stage {
  const [base, as, name] = rest.split(/ +/);
  if (as !== undefined && as.toUpperCase() !== "AS") throw new Error(`FROM ${rest}`);
  return {
    name,
    base: base!,
    steps: [],
    environment: {},
    volumes: [],
    exposed: [],
    workdir: "/",
    user: "root",
    stopSignal: "SIGTERM",
    healthcheck: [],
    entrypoint: [],
    command: [],
  };
}

function apply(stage: Stage, instruction: string, rest: string): void {
  const words = rest.split(/ +/);
  switch (instruction) {
    case "COPY": {
      const from = words.filter((word) => word.startsWith("--from=")).map((word) => word.slice("--from=".length))[0];
      const names = words.filter((word) => !word.startsWith("--"));
      const copy = { from, sources: names.slice(0, -1), target: names.at(-1)! };
      stage.steps.push({ kind: "copy", copy });
      break;
    }
    case "RUN":
      stage.steps.push({ kind: "run", line: rest });
      break;
    case "ENV": {
      const [name, value] = rest.split("=");
      stage.environment[name!] = value!;
      break;
    }
    case "WORKDIR":
      stage.workdir = rest;
      break;
    case "USER":
      stage.user = rest;
      break;
    case "VOLUME":
      stage.volumes.push(...words);
      break;
    case "EXPOSE":
      stage.exposed.push(...words);
      break;
    case "STOPSIGNAL":
      stage.stopSignal = rest;
      break;
    case "HEALTHCHECK":
      stage.healthcheck = JSON.parse(/CMD (\[.*\])$/.exec(rest)![1]!) as string[];
      break;
    case "ENTRYPOINT":
      stage.entrypoint = JSON.parse(rest) as string[];
      break;
    case "CMD":
      stage.command = JSON.parse(rest) as string[];
      break;
    default:
      throw new Error(`unknown instruction ${instruction}`);
  }
}

/** Whether a .dockerignore keeps a file out: the last line that matches it, or a folder above it, decides. */
export function isIgnored(ignore: string, name: string): boolean {
  let ignored = false;
  for (const line of ignore.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const pattern = line.startsWith("!") ? line.slice(1) : line;
    if (patternOf(pattern).test(name)) ignored = !line.startsWith("!");
  }
  return ignored;
}

function patternOf(pattern: string): RegExp {
  const text = pattern
    .replaceAll(".", "\\.")
    .replaceAll("**/", "\u0000")
    .replaceAll("*", "[^/]*")
    .replaceAll("\u0000", "(.*/)?");
  return new RegExp(`^${text}(/.*)?$`);
}
