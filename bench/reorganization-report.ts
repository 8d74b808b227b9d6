import { count } from '../src/cli/client/format.ts';
import type { Felt } from './pgbench.ts';
import type { Watched } from './reorganization-watch.ts';
import type { Limit } from './report.ts';

export const METHODS = ['VACUUM FULL', 'pg_repack', 'COMPACT, no rest', 'COMPACT'] as const;
export type Method = (typeof METHODS)[number];

/** What an application, a writer and the machine's disk have seen; p99 and the like are medians over windows. */
export type Seen = Watched & Felt;

/** One method on one fresh copy. */
export interface Outcome {
  readonly waste: string;
  readonly method: Method;
  readonly rowsKept: boolean;
  /** of what VACUUM FULL makes of the same rows right after: the table, and with its indexes */
  readonly heapRatio: number;
  readonly totalRatio: number;
  readonly beside: Seen;
  /** before it, and after it */
  readonly alone: readonly Seen[];
}

interface Scene {
  readonly version: string;
  readonly rows: number;
  readonly rate: number;
  /** of a window */
  readonly seconds: number;
}

export const median = (all: readonly number[]): number => {
  const sorted = [...all].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
};

const mean = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0) / all.length;

/** p99 beside the method against p99 alone before and after. */
const slowdown = ({ beside, alone }: Outcome): number => beside.p99 / mean(alone.map(({ p99 }) => p99));

/** Of p99 alone, after against before: what a slowdown of one in truth may look like. */
const noise = ({ alone: [before, after] }: Outcome): number => (after?.p99 ?? NaN) / (before?.p99 ?? NaN);

const stallAlone = ({ alone }: Outcome): number => Math.max(...alone.map(({ stallMs }) => stallMs));

const wastesOf = (all: readonly Outcome[]): string[] => [...new Set(all.map(({ waste }) => waste))];

const isOurs = ({ method }: Outcome): boolean => method.startsWith('COMPACT');

/** The median over the rounds, of each method where the waste is the same. */
const rounds = (
  all: readonly Outcome[],
  waste: string,
  method: Method,
  of: (outcome: Outcome) => number,
): number => median(all.filter((one) => one.waste === waste && one.method === method).map(of));

const peers = METHODS.filter((method) => !method.startsWith('COMPACT'));

/** Wherever the waste lies: ours, against the best of the others. */
function against(all: readonly Outcome[], method: Method, of: (outcome: Outcome) => number) {
  return wastesOf(all).map((waste) => ({
    waste,
    ours: rounds(all, waste, method, of),
    best: Math.min(...peers.map((peer) => rounds(all, waste, peer, of))),
  }));
}

function versus(
  what: string,
  unit: string,
  pairs: readonly { waste: string; ours: number; best: number }[],
): Limit {
  const words = pairs.map(
    ({ waste, ours, best }) => `${ours.toFixed(0)} ${unit} against ${best.toFixed(0)} ${unit} (${waste})`,
  );
  const held = pairs.every(({ ours, best }) => ours < best);
  return { what, wanted: 'less than beside the others', measured: words.join(', '), held };
}

const atMost = (what: string, wanted: string, measured: number, limit: number, words: string): Limit => ({
  what,
  wanted,
  measured: words,
  held: measured <= limit,
});

export function limitsFor(all: readonly Outcome[]): Limit[] {
  const ours = all.filter(isOurs);
  const heap = Math.max(...ours.map(({ heapRatio }) => heapRatio));
  const lock = Math.max(...ours.map(({ beside }) => beside.lockMs));
  const p99 = Math.max(...wastesOf(all).map((waste) => rounds(all, waste, 'COMPACT', slowdown)));
  const areKept = ours.every(({ rowsKept }) => rowsKept);
  return [
    atMost('table after COMPACT', '1.1 times VACUUM FULL, or less', heap, 1.1, heap.toFixed(3)),
    { what: 'rows', wanted: 'all, unchanged', measured: areKept ? 'all' : 'differ', held: areKept },
    atMost(
      'a lock that makes readers or writers wait',
      '100 ms at a time, or less',
      lock,
      100,
      `${lock.toFixed(0)} ms`,
    ),
    atMost(
      'p99 of the application beside COMPACT',
      '1.5 times its p99 alone, or less',
      p99,
      1.5,
      `${p99.toFixed(2)} times`,
    ),
    versus(
      'longest stall of a writer',
      'ms',
      against(all, 'COMPACT', ({ beside }) => beside.stallMs),
    ),
    versus(
      'disk at the peak',
      'MB',
      against(all, 'COMPACT', ({ beside }) => beside.peakMb),
    ),
  ];
}

const COLUMNS: readonly (readonly [string, number, (outcome: Outcome) => number])[] = [
  ['s', 1, ({ beside }) => beside.seconds],
  ['WAL MB', 0, ({ beside }) => beside.walMb],
  ['disk at the peak, MB', 0, ({ beside }) => beside.peakMb],
  ['longest stall of the probe, ms', 0, ({ beside }) => beside.stallMs],
  ['alone', 0, stallAlone],
  ['longest exclusive lock, ms', 0, ({ beside }) => beside.lockMs],
  ['table', 3, ({ heapRatio }) => heapRatio],
  ['with indexes', 3, ({ totalRatio }) => totalRatio],
  ['p99', 2, slowdown],
  ['noise of p99', 2, noise],
  ['longest transaction, ms', 0, ({ beside }) => beside.longest],
];

function table(all: readonly Outcome[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const heads = ['free room', 'method', ...COLUMNS.map(([head]) => head)];
  const rows = wastesOf(all).flatMap((waste) =>
    METHODS.map((method) =>
      line([
        waste,
        method,
        ...COLUMNS.map(([, places, of]) => rounds(all, waste, method, of).toFixed(places)),
      ]),
    ),
  );
  return [line(heads), line(heads.map(() => '---')), ...rows].join('\n');
}

export function reportOf({ version, rows, rate, seconds }: Scene, all: readonly Outcome[]): string {
  const limit = ({ what, wanted, measured, held }: Limit) =>
    `| ${what} | ${wanted} | ${measured} | ${held ? 'held' : '**missed**'} |`;
  const late = Math.max(
    ...all.flatMap(({ beside, alone }) => [beside, ...alone]).map(({ lateMs }) => lateMs),
  );
  return `# Giving space back

Made by \`npm run bench:reorganization\` on PostgreSQL ${version}: a table of ${count(rows)} rows with four indexes, of which three fifths were deleted and vacuumed, all over the table or at its end. Each method gets a fresh
copy, in ${all.length / METHODS.length / wastesOf(all).length} rounds; the figures are medians over these. Beside it pgbench works at a quarter of what this machine can do (${count(rate)} transactions a second, windows of ${seconds} s), and a probe, a process of its own, changes
one row after the other; a report reads the table every two seconds and keeps its transaction open for one. All are measured alone before and after each method, too, and watched the same way. pg_repack ends nobody's session (\`--no-kill-backend\`). Ratios of size are to what VACUUM FULL makes of the same
rows right after; of p99, to the application alone (medians over the windows). "alone" is the longest stall with nothing beside the probe, in about half a minute; "noise of p99" is p99 alone after against before. The probe's own clock was
${late.toFixed(0)} ms late at most: a stall of that length may be the machine's.

${table(all)}

| what | wanted | measured | |
|---|---|---|---|
${limitsFor(all).map(limit).join('\n')}

COMPACT by itself rests four fifths of the time and lets VACUUM rest; with a duty cycle of 1 (no rest) it takes as long as it has work. It changes the rows that move in place, so that most of its WAL are images of pages.
`;
}
