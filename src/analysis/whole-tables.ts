import type { MeasuredTable } from './define-analysis.ts';

/** A table as people think of it: a partitioned one is a single table. */
export interface WholeTable {
  readonly root: MeasuredTable;
  /** where the rows are: itself, or its partitions at any depth */
  readonly leaves: readonly MeasuredTable[];
  /** itself and all partitions, partitioned ones too */
  readonly members: readonly MeasuredTable[];
}

export function wholeTables(tables: readonly MeasuredTable[]): WholeTable[] {
  const children = Map.groupBy(tables, (table) => table.parentOid);
  const membersOf = (table: MeasuredTable): MeasuredTable[] => [
    table,
    ...(children.get(table.oid) ?? []).flatMap(membersOf),
  ];
  return tables
    .filter((table) => table.parentOid === null && table.kind !== 'MATERIALIZED_VIEW')
    .map((root) => {
      const members = membersOf(root);
      return { root, members, leaves: members.filter((member) => member.kind === 'TABLE') };
    });
}
