import type { Bloat } from '../domain/finding.ts';
import type { BloatVerdict } from '../domain/words.ts';
import { bytesInWords, type MeasuredTable } from './define-analysis.ts';

/** A partitioned table holds no row itself: its figures are the sums of its partitions, at any depth. */
export function rolledUp(tables: readonly MeasuredTable[]): MeasuredTable[] {
  const children = Map.groupBy(tables, (table) => table.parentOid);
  const leavesOf = (table: MeasuredTable): MeasuredTable[] =>
    table.kind === 'PARTITIONED' ? (children.get(table.oid) ?? []).flatMap(leavesOf) : [table];
  return tables.map((table) => (table.kind === 'PARTITIONED' ? sumOf(table, leavesOf(table)) : table));
}

function sumOf(parent: MeasuredTable, leaves: readonly MeasuredTable[]): MeasuredTable {
  const sum = (figure: (leaf: MeasuredTable) => number) =>
    leaves.reduce((total, leaf) => total + figure(leaf), 0);
  return {
    ...parent,
    liveRows: sum((leaf) => leaf.liveRows),
    deadRows: sum((leaf) => leaf.deadRows),
    totalBytes: sum((leaf) => leaf.totalBytes),
    heapBytes: sum((leaf) => leaf.heapBytes),
    toastBytes: sum((leaf) => leaf.toastBytes),
    indexBytes: sum((leaf) => leaf.indexBytes),
    bloat: bloatOf(leaves),
  };
}

const WORST_FIRST: readonly BloatVerdict[] = ['NEEDS_REWRITE', 'NEEDS_VACUUM', 'UNKNOWN', 'HEALTHY'];

/** As bad as the worst partition, which is named; never healthy while one of them is unknown. */
function bloatOf(leaves: readonly MeasuredTable[]): Bloat {
  const verdict = WORST_FIRST.find((word) => leaves.some((leaf) => leaf.bloat.verdict === word)) ?? 'HEALTHY';
  const wasted = leaves.reduce((sum, leaf) => sum + (leaf.bloat.wastedBytes ?? 0), 0);
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.heapBytes + leaf.toastBytes, 0);
  const culprits = leaves
    .filter((leaf) => leaf.bloat.verdict === verdict && verdict !== 'HEALTHY')
    .sort((a, b) => (b.bloat.wastedBytes ?? 0) - (a.bloat.wastedBytes ?? 0));
  const isUnknown = verdict === 'UNKNOWN';
  return {
    verdict,
    wastedBytes: isUnknown ? null : wasted,
    ratio: isUnknown ? null : bytes === 0 ? 0 : Math.min(wasted / bytes, 1),
    method: isUnknown
      ? 'NONE'
      : leaves.every((leaf) => leaf.bloat.method === 'SCAN') && leaves.length > 0
        ? 'SCAN'
        : 'STATISTICS',
    causes: culprits.slice(0, 3).map((leaf) => ({ code: 'PARTITION', detail: inWords(leaf), pid: null })),
    advice:
      culprits.length === 0 ? 'Nothing to do.' : `Look at the partitions: ${culprits[0]?.bloat.advice ?? ''}`,
  };
}

const inWords = (leaf: MeasuredTable) =>
  `${leaf.schema}.${leaf.name}: ${leaf.bloat.verdict}` +
  (leaf.bloat.wastedBytes === null ? '' : `, ${bytesInWords(leaf.bloat.wastedBytes)} wasted`);
