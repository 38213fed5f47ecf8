/**
 * Pure: what the command line asks for. `--only` takes names of peers, of scenarios, or both: peers among the peers,
 * scenarios among the scenarios, and all of the kind that is not named.
 */
import { parseArgs } from 'node:util';
import { BenchError } from '../../lib/must.ts';

export interface Names {
  /** All, in order; the last are variants, which run unless the run is quick. */
  readonly peers: readonly { readonly name: string; readonly isVariant: boolean }[];
  readonly scenarios: readonly string[];
  /** The scenarios of a quick run; the first always runs. */
  readonly quick: readonly string[];
}

export interface Wanted {
  readonly peers: readonly string[];
  readonly scenarios: readonly string[];
  readonly isQuick: boolean;
  readonly rounds: number;
  /** Measured seconds of a round. */
  readonly seconds: number;
  /** How often a contended round is repeated. */
  readonly repeats: number;
  readonly pin: boolean;
  readonly json: string | null;
  readonly markdown: string | null;
  /** Figures of a run before: nothing is measured. */
  readonly from: string | null;
  readonly help: boolean;
}

const OPTIONS = {
  quick: { type: 'boolean' },
  only: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  repeats: { type: 'string' },
  'no-pin': { type: 'boolean' },
  json: { type: 'string' },
  markdown: { type: 'string' },
  from: { type: 'string' },
  help: { type: 'boolean' },
} as const;

export function usage({ peers, scenarios, quick }: Names): string {
  const named = (variant: boolean) => peers.filter((peer) => peer.isVariant === variant).map(({ name }) => name).join(', ');
  return `npm run bench:peers [-- options]
  --only NAME[,NAME]  only these peers, or these scenarios, or these peers in these scenarios
                      peers: ${named(false)}
                      the same at other settings: ${named(true)}
                      scenarios: ${scenarios.join(', ')}
  --quick             within 5 minutes: one short round of ${quick.join(', ')}; ${quick[0]} always
  --rounds N          rounds, of which the medians are told (default 3; quick 1)
  --seconds N         measured seconds of a round (default 5; quick 3)
  --repeats N         how often a round is repeated for which somebody else took the cores (default 2; quick 0)
  --no-pin            do not bind server and generator to a core each
  --json FILE         write the rows: an array, one of a peer in a scenario
  --markdown FILE     write the tables, in a file that has a place for them there
  --from FILE         measure nothing: take the rows of a file that --json wrote
`;
} // prettier-ignore

function number(text: string | undefined, fallback: number, name: string, min: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value >= min) || !Number.isFinite(value))
    throw new BenchError(`--${name} ${text}: expected a number from ${min}`);
  return value;
}

function chosen(only: string | undefined, names: Names): { peers: string[]; scenarios: string[] } {
  const asked = (only ?? '').split(',').flatMap((part) => part.trim() || []);
  const peers = names.peers.map(({ name }) => name);
  const unknown = asked.find((name) => !peers.includes(name) && !names.scenarios.includes(name));
  if (unknown !== undefined) throw new BenchError(`--only: there is no peer or scenario "${unknown}"\n${usage(names)}`);
  return {
    peers: peers.filter((name) => asked.includes(name)),
    scenarios: names.scenarios.filter((name) => asked.includes(name)),
  };
} // prettier-ignore

export function readArguments(args: readonly string[], names: Names): Wanted {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const isQuick = values.quick === true;
  const { peers, scenarios } = chosen(values.only, names);
  const all = names.peers.filter(({ isVariant }) => !(isQuick && isVariant)).map(({ name }) => name);
  const allScenarios = isQuick ? names.quick : names.scenarios;
  const [always] = names.quick;
  return {
    peers: peers.length > 0 ? peers : all,
    scenarios: scenarios.length === 0 ? allScenarios : isQuick ? [...new Set([always!, ...scenarios])] : scenarios,
    isQuick,
    rounds: Math.ceil(number(values.rounds, isQuick ? 1 : 3, 'rounds', 1)),
    seconds: number(values.seconds, isQuick ? 3 : 5, 'seconds', 0.1),
    repeats: Math.floor(number(values.repeats, isQuick ? 0 : 2, 'repeats', 0)),
    pin: values['no-pin'] !== true,
    json: values.json ?? null,
    markdown: values.markdown ?? null,
    from: values.from ?? null,
    help: values.help === true,
  };
} // prettier-ignore
