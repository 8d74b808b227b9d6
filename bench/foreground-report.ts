import { count } from '../src/cli/client/format.ts';
import type { Felt } from './pgbench.ts';
import type { Limit } from './report.ts';
import type { Waits } from './waits-for-us.ts';

/** What the application felt in two windows: alone, and beside something. */
export interface Window {
  readonly beside: 'nothing' | 'default throttle' | 'no rest' | 'one DELETE';
  readonly alone: Felt;
  readonly felt: Felt;
  readonly waits: Waits;
}

/** Of the most that a batch may take by default, and what writing a segment may take beyond. */
const LONGEST_WAIT_MS = 5_000;

const median = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;

const ratios = (windows: readonly Window[], beside: Window['beside'], of: keyof Felt): number =>
  median(windows.filter((one) => one.beside === beside).map(({ felt, alone }) => felt[of] / alone[of]));

export function limitsFor(windows: readonly Window[]): Limit[] {
  const ours = windows.filter(({ beside }) => beside === 'default throttle' || beside === 'no rest');
  const waited = Math.max(...ours.map(({ waits }) => waits.longestMs));
  const killed = ours.reduce((sum, { waits }) => sum + waits.killed, 0);
  const p99 = ratios(windows, 'default throttle', 'p99');
  const noise = ratios(windows, 'nothing', 'p99');
  return [
    {
      what: 'p99 beside a run with the default throttle',
      wanted: '1.25 times its p99 alone, or less',
      measured: `${p99.toFixed(2)} times`,
      held: p99 <= 1.25,
    },
    {
      what: 'p99 beside nothing: the noise, without which the line above says nothing',
      wanted: '0.8 to 1.25 times its p99 alone',
      measured: `${noise.toFixed(2)} times`,
      held: noise >= 0.8 && noise <= 1.25,
    },
    {
      what: 'the longest that a session waited for a run',
      wanted: 'a batch and 2 s',
      measured: `${waited.toFixed(0)} ms`,
      held: waited <= LONGEST_WAIT_MS,
    },
    {
      what: 'sessions of the application that were ended',
      wanted: 'none',
      measured: String(killed),
      held: killed === 0,
    },
  ];
}

const limitRows = (limits: readonly Limit[]): string =>
  limits
    .map(
      ({ what, wanted, measured, held }) =>
        `| ${what} | ${wanted} | ${measured} | ${held ? 'held' : '**missed**'} |`,
    )
    .join('\n');

function line(windows: readonly Window[], beside: Window['beside']): string {
  const of = windows.filter((one) => one.beside === beside);
  const ratio = (which: keyof Felt) => ratios(windows, beside, which).toFixed(2);
  const alone = median(of.map((one) => one.alone.p99)).toFixed(1);
  const longest = Math.max(...of.map(({ felt }) => felt.longest)).toFixed(0);
  return `| ${beside} | ${of.length} | ${ratio('p50')} | ${ratio('p95')} | ${ratio('p99')} | ${alone} | ${longest} |`;
}

export function foregroundReport(
  { rate, rows, seconds }: { readonly rate: number; readonly rows: number; readonly seconds: number },
  windows: readonly Window[],
): string {
  const lines = (['nothing', 'default throttle', 'no rest', 'one DELETE'] as const).map((beside) =>
    line(windows, beside),
  );
  return `# What the application feels

Made by \`npm run bench:foreground\`: pgbench at half of what this machine can do (${count(Math.round(rate))} transactions a second; scripts in
\`bench/foreground\`) on a table of ${count(rows)} rows of which three tenths are purged, spread over the heap. Windows of ${seconds} s in pairs, in turn
the one and the other first: the application alone, and beside something. One run with the default throttle is resumed some seconds before its windows
and paused after them; what takes all at once has a fresh copy each time. Ratios are medians over the pairs; that of nothing is the noise.

| beside it | pairs | p50 | p95 | p99 | p99 alone, ms | longest, ms |
|---|---|---|---|---|---|---|
${lines.join('\n')}

| what | wanted | measured | |
|---|---|---|---|
${limitRows(limitsFor(windows))}
`;
}
