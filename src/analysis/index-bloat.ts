import type { Bloat } from '../domain/finding.ts';
import type { TableRow } from './read-tables.ts';
import { PAGE_BYTES } from './estimate-heap.ts';
import { estimateIndex } from './estimate-index.ts';
import { judgeIndex, unknownBloat } from './judge-bloat.ts';
import type { IndexMeasure, Meter } from './measure-exact.ts';
import type { IndexRow } from './read-indexes.ts';
import { notMeasured } from './table-bloat.ts';

/** a B-tree page without its headers */
const PAGE_ROOM = PAGE_BYTES - 24 - 16;

export function estimateIndexBloat(index: IndexRow, table: TableRow): Bloat {
  const estimate = estimateIndex(index, table);
  if (!estimate.known) return unknownBloat(estimate);
  return judgeIndex({
    sizeBytes: index.sizeBytes,
    neededBytes: estimate.neededBytes,
    deadBytes: table.deadRows * estimate.rowBytes,
    method: 'STATISTICS',
    causes: [],
  });
}

/** By reading a B-tree; others, and those that cannot be read, keep the estimate with the reason. */
export async function measureIndexBloat(index: IndexRow, table: TableRow, meter: Meter): Promise<Bloat> {
  const estimate = estimateIndexBloat(index, table);
  if (index.locked || index.method !== 'btree' || !index.isValid) return estimate;
  const measure = await meter.index(index.oid, index.sizeBytes);
  if ('code' in measure) return notMeasured(estimate, measure);
  // Entries of dead rows look alive to pgstatindex.
  const dense = neededBytes(index, measure);
  const deadBytes = dense * deadShare(table, index);
  return judgeIndex({
    sizeBytes: index.sizeBytes,
    neededBytes: dense - deadBytes,
    deadBytes,
    method: 'SCAN',
    causes: [],
  });
}

/** What the fillfactor keeps free is not waste: a fresh B-tree is 90 % dense, not 100. */
function neededBytes(index: IndexRow, measure: IndexMeasure): number {
  const fresh = (PAGE_ROOM - (PAGE_BYTES * (100 - index.fillfactor)) / 100) / PAGE_ROOM;
  const leaves = Math.ceil(measure.leafPages * Math.min(measure.density / fresh, 1));
  const inner = measure.leafPages === 0 ? 0 : Math.ceil((measure.innerPages * leaves) / measure.leafPages);
  return (1 + leaves + inner) * PAGE_BYTES;
}

function deadShare(table: TableRow, index: IndexRow): number {
  const all = table.liveRows + table.deadRows;
  return all === 0 || index.predicate !== null ? 0 : table.deadRows / all;
}
