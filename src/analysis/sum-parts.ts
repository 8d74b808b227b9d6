import type { IndexFacts } from './define-analysis.ts';

/** A partitioned index holds nothing itself: its size and its use are those of its parts, at any depth. */
export function withParts(indexes: readonly IndexFacts[]): IndexFacts[] {
  const children = Map.groupBy(indexes, (index) => index.parentOid);
  const leavesOf = (index: IndexFacts): IndexFacts[] =>
    index.isPartitioned ? (children.get(index.oid) ?? []).flatMap(leavesOf) : [index];
  return indexes.map((index) => (index.isPartitioned ? sumOf(index, leavesOf(index)) : index));
}

const sumOf = (parent: IndexFacts, leaves: readonly IndexFacts[]): IndexFacts => ({
  ...parent,
  parts: leaves.map(({ oid }) => oid),
  sizeBytes: leaves.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  scans: leaves.reduce((sum, { scans }) => sum + scans, 0),
  lastScanAt:
    leaves
      .flatMap(({ lastScanAt }) => lastScanAt ?? [])
      .sort()
      .at(-1) ?? null,
});
