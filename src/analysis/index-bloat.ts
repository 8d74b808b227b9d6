import type { Bloat } from '../domain/finding.ts';
import { type MeasuredTable, percent } from './define-analysis.ts';
import { unknown } from './estimate-heap.ts';
import { estimateIndex } from './estimate-index.ts';
import { judgeIndex, SMALLEST_WASTE, unknownBloat, withoutFigures } from './judge-bloat.ts';
import type { IndexMeasure, Meter } from './measure-exact.ts';
import { notMeasured } from './measure-table.ts';
import type { IndexRow } from './read-indexes.ts';
import type { TableRow } from './read-tables.ts';
import { PAGE_BYTES } from './tuple-size.ts';

/** a B-tree page without its headers */
const PAGE_ROOM = PAGE_BYTES - 24 - 16;
/** Fewer entries of dead rows than this change no answer. */
const NOTABLE = 0.1;
/** So many rows with one key and more: half of the rows is half of the index. */
const LARGE_SET = 20;
/** A fresh leaf, unless a fillfactor says otherwise. */
const DEFAULT_FILLFACTOR = 90;

export function estimateIndexBloat(index: IndexRow, table: TableRow): Bloat {
  const estimate = estimateIndex(index, table);
  if (!estimate.known) return unknownBloat(estimate);
  const { neededBytes } = estimate;
  return judgeIndex({
    sizeBytes: index.sizeBytes,
    neededBytes,
    deadBytes: table.liveRows === 0 ? index.sizeBytes : (neededBytes * table.deadRows) / table.liveRows,
    method: 'STATISTICS',
    causes: [],
  });
}

/** By reading a B-tree; others, and those that cannot be read, keep the estimate with the reason. */
export async function measureIndexBloat(
  index: IndexRow,
  table: TableRow & Pick<MeasuredTable, 'columns'>,
  meter: Meter,
): Promise<Bloat> {
  const estimate = estimateIndexBloat(index, table);
  if (index.locked || index.method !== 'btree' || !index.isValid) return estimate;
  const measure = await meter.index(index.oid, index.sizeBytes);
  if ('code' in measure) return notMeasured(estimate, measure);
  const dead = deadShare(table);
  const dense = neededBytes(index, measure, 1);
  const apart = apartBytes(index, estimate, neededBytes(index, measure, 1 - dead));
  const needed = neededBytes(index, measure, 1 - dead) - apart;
  const bloat = judgeIndex({
    sizeBytes: index.sizeBytes,
    neededBytes: needed,
    deadBytes: dense - apart - needed,
    method: 'SCAN',
    causes: apart === 0 ? [] : [KEYS_APART],
  });
  if (dead >= NOTABLE && !isProportional(index, table)) return deadRowsHide(index, table, bloat);
  return { ...bloat, causes: [...bloat.causes, ...differences(index, measure, estimate, bloat)] };
}

/**
 * What the fillfactor keeps free is not waste: a fresh B-tree is 90 % dense, not 100. Entries of dead rows look alive to
 * pgstatindex: share says how many really are.
 */
function neededBytes(index: IndexRow, measure: IndexMeasure, share: number): number {
  const fresh = (PAGE_ROOM - (PAGE_BYTES * (100 - index.fillfactor)) / 100) / PAGE_ROOM;
  const leaves = Math.ceil(measure.leafPages * Math.min((share * measure.density) / fresh, 1));
  const inner = measure.leafPages === 0 ? 0 : Math.ceil((measure.innerPages * leaves) / measure.leafPages);
  return (1 + leaves + inner) * PAGE_BYTES;
}

/**
 * Rows that came one by one share entries less than those of a fresh index: dense leaves then hide what the statistics
 * know, that equal keys could be gathered.
 */
function apartBytes(index: IndexRow, estimate: Bloat, measured: number): number {
  if (!index.deduplicates || index.isUnique || estimate.wastedBytes === null) return 0;
  const apart = Math.max(measured - (index.sizeBytes - estimate.wastedBytes), 0);
  return apart < NOTABLE * index.sizeBytes ? 0 : apart;
}

const KEYS_APART = {
  code: 'KEYS_APART',
  detail: 'Equal keys share fewer entries than they would after a rebuild, however dense the leaves are.',
  pid: null,
};

function deadShare(table: TableRow): number {
  const all = table.liveRows + table.deadRows;
  return all === 0 ? 0 : table.deadRows / all;
}

/** Half of the rows are half of the entries: not where an entry stands for some rows, nor where only some rows have one. */
function isProportional(index: IndexRow, table: TableRow): boolean {
  if (index.predicate !== null) return false;
  if (index.isUnique || !index.deduplicates) return true;
  const [key] = index.keys;
  const distinct = index.keys.length === 1 ? (key?.stored.statistics?.distinct ?? 0) : 0;
  return distinct > 0 && table.liveRows / distinct >= LARGE_SET;
}

function deadRowsHide(index: IndexRow, table: TableRow, bloat: Bloat): Bloat {
  const why = unknown(
    'DEAD_ROWS',
    `${table.deadRows} rows of its table are dead and not yet vacuumed; reading counts their entries as live.`,
    'VACUUM the table first; then look again.',
  );
  const dead = deadShare(table) * index.sizeBytes;
  if (index.predicate !== null || dead < SMALLEST_WASTE || bloat.verdict !== 'NEEDS_VACUUM')
    return unknownBloat(why);
  return withoutFigures(bloat);
}

/** Why a plain reading, or the statistics, would have told another story. */
function differences(index: IndexRow, measure: IndexMeasure, estimate: Bloat, bloat: Bloat): Bloat['causes'] {
  const ratio = bloat.ratio ?? 0;
  const empty = 1 - measure.density;
  const causes: { code: string; detail: string; pid: null }[] = [];
  if (index.fillfactor < DEFAULT_FILLFACTOR && empty - ratio >= NOTABLE) {
    causes.push({
      code: 'FILLFACTOR',
      detail: `Its leaves are ${percent(empty)} empty; fillfactor ${index.fillfactor} keeps them so.`,
      pid: null,
    });
  }
  if (estimate.ratio !== null && Math.abs(estimate.ratio - ratio) >= NOTABLE) {
    const why = index.deduplicates ? 'how many values differ' : 'the width of its keys';
    causes.push({
      code: 'STALE_STATISTICS',
      detail: `Statistics alone said ${percent(estimate.ratio)}: they are wrong about ${why}, or about the rows (ANALYZE).`,
      pid: null,
    });
  }
  return causes;
}
