import os from 'node:os';
import { count } from '../src/cli/client/format.ts';
import type { DemoQueries } from './demo-queries.ts';
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
  /** Beside a session that keeps an old snapshot; the peer is the usual loop. */
  readonly oldSnapshot: Contest;
  /** From few rows to many; each in a worker's fresh process. */
  readonly sizes: readonly Sized[];
  readonly demo: DemoQueries;
}

interface Sized {
  readonly rows: number;
  readonly memory: Memory[];
  readonly purge: RunMeasured[];
  readonly archive: RunMeasured[];
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
export function limitsOf({ purges, archive, oldSnapshot, sizes, demo }: Results): Limit[] {
  const [interleaved] = purges;
  const peaks = sizes.map(({ memory }) => peakOf(memory));
  const tails = [...purges, archive].flatMap(({ ours }) => ours.map((run) => run.lastTenth));
  const p99 = Math.max(...purges.map(({ ours }) => worst(ours, (run) => run.p99)));
  return [
    limit(
      'purge against one big DELETE, rows spread',
      '0.9 or more',
      (interleaved && ratio(interleaved)) ?? NaN,
      (is) => is >= 0.9,
    ),
    limit('longest of 99 in 100 batches of a purge', '100 ms or less', p99, (is) => is <= 100, ' ms'),
    limit('archive to files against the scripted loop', '8 or more', ratio(archive), (is) => is >= 8),
    limit(
      'purge against the usual loop, beside an old snapshot',
      '50 or more',
      ratio(oldSnapshot),
      (is) => is >= 50,
    ),
    limit(
      'rows a second, last tenth of the batches against the first',
      '0.9 or more',
      median(tails),
      (is) => is >= 0.9,
    ),
    limit(
      'purge, its time grows with the number of rows to the power of',
      '1.15 or less',
      growth(sizes.flatMap((one) => one.purge)),
      (is) => is <= 1.15,
    ),
    limit(
      'archive, its time grows with the number of rows to the power of',
      '1.15 or less',
      growth(sizes.flatMap((one) => one.archive)),
      (is) => is <= 1.15,
    ),
    limit('peak memory of the worker', 'under 200 MB', Math.max(...peaks), (is) => is < 200, ' MB'),
    limit(
      'peak memory with many more rows',
      '1.2 times or less',
      Math.max(...peaks) / Math.min(...peaks),
      (is) => is <= 1.2,
      ' times',
    ),
    limit(
      "the demo's workload after the whole path, time saved at the median",
      'half or more',
      demo.saved * 100,
      (is) => is >= 50,
      ' %',
    ),
  ];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** The exponent by which time follows rows, fitted to all measurements (least squares of the logarithms): 1 is linear. */
function growth(all: readonly Measured[]): number {
  const points = all.map(({ rows, seconds }) => [Math.log(rows), Math.log(seconds)] as const);
  const mean = (of: 0 | 1) => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const along = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return along / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
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
  const { version, rows, purges, archive, oldSnapshot, sizes, demo } = results;
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

## Beside an old snapshot

Another session keeps a snapshot from before the first batch, as a report or a backup does. The usual loop, \`DELETE ... WHERE id IN (SELECT id ... LIMIT
1000)\`, walks over all rows that it has deleted before, again with every turn, until all are gone. Declutter reads each block once. (Where a table is larger than a quarter of the shared buffers,
the loop's scans may begin where the last one stopped, which hides it; here the table is smaller.)

| | rows/s | rows/s, whole run | ratio | batches, p50 / p99 / longest ms |
|---|---|---|---|---|
| usual loop | ${count(rate(oldSnapshot.peer))} | ${count(rate(oldSnapshot.peer))} | 1 | - |
${oursLine(oldSnapshot)}

## How speed and memory follow the number of rows

A purge of rows that are spread, then an archive of rows that lie together, each of three tenths of the rows, in a worker's fresh process; each size in turn, then in turn back.

| rows of the table | purge, rows/s | archive, rows/s | peak MB | afterwards MB |
|---|---|---|---|---|
${sizes.map(sizeLine).join('\n')}

## Queries before and after

Of \`npm run demo\`: each query's fastest of several, before anything is removed and after the whole path (archive, purge, COMPACT, REINDEX, ANALYZE). Those with a
shape are the workload whose median counts, one query of each shape on tables that the clutter is in; the others are beside it.

\`\`\`
${demo.table}
\`\`\`
`;
}

const sizeLine = ({ rows, memory, purge, archive }: Sized) =>
  `| ${count(rows)} | ${count(rate(purge))} | ${count(rate(archive))} | ${peakOf(memory).toFixed(0)} | ${memory.map(({ now }) => now.toFixed(0)).join(', ')} |`;

const peakOf = (memory: readonly Memory[]): number => Math.max(...memory.map(({ peak }) => peak));

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
