import { bloatOverview } from '../cli/client/bloat-command.ts';
import { bytes, count, milliseconds, percent } from '../cli/client/format.ts';
import { AnalyzeDatabaseDocument, type TableLineFragment } from '../cli/client/generated/api.ts';
import { table } from '../cli/client/table.ts';
import type { Stage } from './stage.ts';
import type { QueryTime } from './typical-queries.ts';

/** The shop at one time: its tables by the API, and how long its queries take. */
export interface Picture {
  readonly tables: readonly TableLineFragment[];
  readonly queries: readonly QueryTime[];
}

/** The tables as a snapshot taken now shows them. */
export async function tablesNow(stage: Stage): Promise<readonly TableLineFragment[]> {
  await stage.as.operator.request(AnalyzeDatabaseDocument, { name: stage.database, exact: false });
  const query = { schema: 'public', order: 'NAME', limit: 100 } as const;
  return (await bloatOverview(stage.as.viewer, stage.database, query)).tables;
}

/** Prints both pictures side by side. */
export function compare(stage: Stage, before: Picture, after: Picture): void {
  const pairs = before.tables.flatMap((was) => {
    const is = after.tables.find((line) => line.name === was.name);
    return is ? [[was, is] as const] : [];
  });
  stage.print(table(SIZE_COLUMNS, [...pairs.map(sizeCells), totalCells(pairs)]).replace(/^/gm, '  '));
  stage.print('');
  stage.print(
    table(
      TIME_COLUMNS,
      before.queries.map((query, i) => timeCells(query, after.queries[i])),
    ).replace(/^/gm, '  '),
  );
  stage.print('');
  for (const [i, query] of before.queries.entries()) {
    stage.checks.holds(`"${query.name}" gives the same answer`, query.sum === after.queries[i]?.sum);
  }
  const change = medianChange(before.queries, after.queries);
  stage.checks.holds(
    `the workload (${before.queries.flatMap(({ shape }) => shape ?? []).join(', ')}) is faster: the median by ${percent(-change)}`,
    change <= -WANTED_GAIN,
  );
  const indexes = (side: 0 | 1) => pairs.reduce((sum, pair) => sum + pair[side].indexBytes, 0);
  stage.checks.holds(
    `indexes take less room: ${bytes(indexes(0))} → ${bytes(indexes(1))}`,
    indexes(1) < indexes(0),
  );
}

/** What the whole path has to bring to the median of the workload's queries. */
const WANTED_GAIN = 0.5;

/** Of the workload's queries, each by its own time before, both by that of the unit beside it; below 0 is faster. */
export function medianChange(before: readonly QueryTime[], after: readonly QueryTime[]): number {
  const changes = before
    .flatMap((was, i) => (was.shape === null ? [] : [inUnits(after[i]) / inUnits(was) - 1]))
    .sort((a, b) => a - b);
  const middle = changes.length / 2;
  return ((changes[Math.ceil(middle) - 1] ?? NaN) + (changes[Math.floor(middle)] ?? NaN)) / 2;
}

const inUnits = (time: QueryTime | undefined) => (time === undefined ? Infinity : time.ms / time.unitMs);

type Pair = readonly [TableLineFragment, TableLineFragment];

const SIZE_COLUMNS = [
  { title: 'table' },
  { title: 'rows before', right: true },
  { title: 'after', right: true },
  { title: 'table before', right: true },
  { title: 'after', right: true },
  { title: 'free in it', right: true },
  { title: 'indexes before', right: true },
  { title: 'after', right: true },
];

const heap = (line: TableLineFragment) => line.heapBytes + line.toastBytes;

const sizeCells = ([was, is]: Pair) => [
  was.name,
  count(was.liveRows),
  count(is.liveRows),
  bytes(heap(was)),
  bytes(heap(is)),
  bytes(is.bloat.wastedBytes),
  bytes(was.indexBytes),
  bytes(is.indexBytes),
];

function totalCells(pairs: readonly Pair[]): string[] {
  const sum = (side: 0 | 1, of: (line: TableLineFragment) => number) =>
    pairs.reduce((all, pair) => all + of(pair[side]), 0);
  const rows = (line: TableLineFragment) => line.liveRows;
  const indexes = (line: TableLineFragment) => line.indexBytes;
  return [
    'in all',
    count(sum(0, rows)),
    count(sum(1, rows)),
    bytes(sum(0, heap)),
    bytes(sum(1, heap)),
    bytes(sum(1, (line) => line.bloat.wastedBytes ?? 0)),
    bytes(sum(0, indexes)),
    bytes(sum(1, indexes)),
  ];
}

const TIME_COLUMNS = [
  { title: 'query (fastest)' },
  { title: 'shape' },
  { title: 'before', right: true },
  { title: 'after', right: true },
  { title: 'change', right: true },
];

const timeCells = (was: QueryTime, is: QueryTime | undefined) => [
  was.name,
  was.shape ?? '',
  milliseconds(was.ms),
  is ? milliseconds(is.ms) : '?',
  is ? signed(is.ms / was.ms - 1) : '?',
];

const signed = (share: number) => `${share > 0 ? '+' : share < 0 ? '−' : ''}${percent(Math.abs(share))}`;
