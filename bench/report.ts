import os from 'node:os';
import { count } from '../src/cli/client/format.ts';
import type { Measured } from './peers.ts';
import { NO_REST, type RunMeasured } from './measure-run.ts';
import type { Memory } from './product.ts';

/** Alternating measurements of the product and its peer, in the order in which they were made. */
export interface Contest {
  readonly selection: string;
  readonly peer: readonly Measured[];
  readonly ours: readonly RunMeasured[];
}

export interface Results {
  readonly version: string;
  readonly rows: number;
  readonly purges: readonly Contest[];
  readonly archive: Contest;
  readonly memory: readonly { readonly rows: number; readonly memory: Memory }[];
}

export interface Limit {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly held: boolean;
}

const rate = (all: readonly Measured[]) =>
  all.reduce((sum, one) => sum + one.rows, 0) / all.reduce((sum, one) => sum + one.seconds, 0);
const ratio = (contest: Contest) => rate(contest.ours) / rate(contest.peer);
const worst = (all: readonly RunMeasured[], of: (run: RunMeasured) => number) => Math.max(...all.map(of));

/** What the product promises of its speed and memory. */
export function limitsOf({ purges, archive, memory }: Results): Limit[] {
  const [interleaved] = purges;
  const peaks = memory.map((one) => one.memory.peak);
  const [small = NaN, large = NaN] = peaks;
  const p99 = Math.max(...purges.map(({ ours }) => worst(ours, (run) => run.p99)));
  return [
    limit(
      'purge against one big DELETE, rows spread',
      '0.7 or more',
      (interleaved && ratio(interleaved)) ?? NaN,
      (is) => is >= 0.7,
    ),
    limit('longest of 99 in 100 batches of a purge', '100 ms or less', p99, (is) => is <= 100, ' ms'),
    limit('archive to files against the scripted loop', '5 or more', ratio(archive), (is) => is >= 5),
    limit('peak memory of the worker', 'under 200 MB', Math.max(...peaks), (is) => is < 200, ' MB'),
    limit('peak memory with many more rows', '1.2 times or less', large / small, (is) => is <= 1.2, ' times'),
  ];
}

/** A figure and whether it holds. */
export const limit = (
  what: string,
  wanted: string,
  is: number,
  holds: (is: number) => boolean,
  unit = '',
): Limit => ({
  what,
  wanted,
  measured: `${is.toFixed(is < 10 ? 2 : 0)}${unit}`,
  held: holds(is),
});

export function reportOf(results: Results, limits: readonly Limit[]): string {
  const { version, rows, purges, archive, memory } = results;
  return `# Benchmarks

Made by \`npm run bench\`, which writes this page and fails when a limit is missed.

${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GB of memory, PostgreSQL ${version} with fsync on the same machine, Node ${process.versions.node}.
Rates depend on the machine; read the ratios, which compare variants that ran alternately in the same run.

## Limits

| what | wanted | measured | |
|---|---|---|---|
${limitRows(limits)}

## How it is measured

A table of ${count(rows)} rows: bigint key, timestamptz, tenant, status, jsonb of about 200 bytes, three more indexes. Three tenths of the rows are to go:
spread over the whole table (by status) or lying together (by time). Each measurement starts from a copy of the same files, after a
checkpoint. The product is the built JavaScript, the API and the worker each in its own process, with the throttle
\`${JSON.stringify(NO_REST)}\` (no rest; defaults else). A batch is timed from commit to commit, as the ledger in the target
tells, so that the ledger's own writes and the flush to disk count. Autovacuum is off.

## Purge

The peer is one single DELETE: the limit of what the server can do, which nobody can stop and everybody waits for.

${purges.map(purgeTable).join('\n\n')}

## Archive to files

The peer is what one would script: select 5 000 rows, append them to a file as JSON, delete them by their keys, until none is left. The
product deletes and copies in one statement, compresses, makes each batch durable before its COMMIT and reads it back.

| | rows/s | rows/s, whole run | ratio | batches, p50 / p99 / longest ms | size |
|---|---|---|---|---|---|
| scripted loop | ${count(rate(archive.peer))} | ${count(rate(archive.peer))} | 1 | - | - |
${oursLine(archive)}

## Memory of the worker

After a purge and an archive, each of three tenths of the rows, in a fresh process.

| rows of the table | peak MB | afterwards MB |
|---|---|---|
${memory.map((one) => `| ${count(one.rows)} | ${one.memory.peak.toFixed(0)} | ${one.memory.now.toFixed(0)} |`).join('\n')}
`;
}

export const limitRows = (limits: readonly Limit[]) =>
  limits
    .map(
      ({ what, wanted, measured, held }) =>
        `| ${what} | ${wanted} | ${measured} | ${held ? 'held' : '**missed**'} |`,
    )
    .join('\n');

const purgeTable = (
  contest: Contest,
) => `| ${contest.selection} | rows/s | rows/s, whole run | ratio | batches, p50 / p99 / longest ms |
|---|---|---|---|---|
| one DELETE | ${count(rate(contest.peer))} | ${count(rate(contest.peer))} | 1 | one of ${count((contest.peer[0]?.seconds ?? 0) * 1000)} |
${oursLine(contest)}`;

function oursLine(contest: Contest): string {
  const { ours } = contest;
  const whole = rate(ours.map((run) => ({ rows: run.rows, seconds: run.wallSeconds })));
  const times = [
    worst(ours, (run) => run.p50),
    worst(ours, (run) => run.p99),
    worst(ours, (run) => run.longest),
  ];
  const batches = `${count(ours[0]?.batches)}, ${times.map((time) => time.toFixed(1)).join(' / ')}`;
  const bytes = ours[0]?.archiveBytes;
  const size = bytes == null ? '' : ` ${(bytes / 2 ** 20).toFixed(0)} MB |`;
  return `| Declutter | ${count(rate(ours))} | ${count(whole)} | ${ratio(contest).toFixed(2)} | ${batches} |${size}`;
}
