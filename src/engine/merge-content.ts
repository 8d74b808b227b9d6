import { archiveTableOf, holderName } from '../domain/archive-tables.ts';
import type { ArchiveContent, ArchivedKey, ArchivePart } from '../domain/archive-content.ts';
import type { Relation } from '../target/catalog.ts';
import { type MergeEdge, type MergeGraph, readMergeGraph } from '../target/merge-graph.ts';
import type { Making } from './archive-content.ts';

/** What goes along with duplicates: rows of other tables that become duplicates too, and references before they are re-pointed. */
export async function mergedContent(making: Making): Promise<Pick<ArchiveContent, 'parts' | 'keys'>> {
  const { session, relation, plan } = making;
  if (plan.operation.kind !== 'DEDUPLICATION' || plan.operation.references === 'REFUSE') return {};
  const graph = await session.transaction(() => readMergeGraph(session, relation, { follow: true }));
  const parts = [...rowParts(making, graph), ...referenceParts(making, graph)];
  if (parts.length === 0) return {};
  return {
    parts,
    keys: graph.edges.filter(({ child }) => mayGo(graph, child)).map((edge) => keyOf(making, edge)),
  };
}

const mayGo = ({ uniqueKeys }: MergeGraph, { oid }: Relation): boolean =>
  (uniqueKeys.get(oid)?.length ?? 0) > 0;

const partOf = ({ plan }: Making, { oid }: Relation): number =>
  plan.relations.findIndex((planned) => planned.oid === oid);

const rowParts = (making: Making, graph: MergeGraph): ArchivePart[] =>
  graph.tables
    .filter((table) => table !== graph.subject && mayGo(graph, table))
    .map((table) => {
      const number = partOf(making, table);
      const { destination, plan, runId } = making;
      const kept = destination.kind === 'TABLE' ? archiveTableOf(destination, plan.relations, number) : null;
      return {
        number,
        schema: table.schema,
        table: table.name,
        columns: table.columns.map((column) => ({
          name: column.name,
          type: column.type,
          number: column.number,
        })),
        holder: kept && { schema: kept.schema, name: holderName(kept.table, runId) },
        reference: null,
      };
    });

/** A row without a primary key could not be found again, and its reference is not kept. */
function referenceParts(making: Making, { edges }: MergeGraph): ArchivePart[] {
  const { destination, runId } = making;
  const keyed = edges.filter(({ child }) => child.primaryKey !== null);
  return keyed.map((edge, i) => {
    const { key, child } = edge;
    const identity = child.primaryKey ?? [];
    const column = (kind: string, names: readonly string[]) =>
      names.map((name, k) => ({
        name: `${kind}_${k + 1}`,
        type: child.columns.find((one) => one.name === name)?.type ?? '',
      }));
    return {
      number: -1 - i,
      schema: child.schema,
      table: child.name,
      columns: [...column('key', identity), ...column('old', key.columns), ...column('new', key.columns)],
      holder:
        destination.kind === 'TABLE'
          ? { schema: destination.schema, name: holderName(`${i + 1}_${key.name}`, runId) }
          : null,
      reference: {
        ...keyOf(making, edge),
        oid: key.oid,
        name: key.name,
        onDelete: 'REPOINT',
        identity,
        changed: key.columns,
      },
    };
  });
}

const keyOf = (making: Making, { key, child, parent }: MergeEdge): ArchivedKey => ({
  child: partOf(making, child),
  parent: partOf(making, parent),
  columns: key.columns,
  referencedColumns: key.referencedColumns,
  operators: key.operators,
});
