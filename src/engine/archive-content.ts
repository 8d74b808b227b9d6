import { archiveTableOf, holderName } from '../domain/archive-tables.ts';
import type { ArchiveDestination, PlanSpec } from '../domain/plan.ts';
import type { ArchiveContent, ArchivedKey, ArchivePart } from '../domain/archive-content.ts';
import type { Relation } from '../target/catalog.ts';
import { mergedContent } from './merge-content.ts';
import { type Edge, followedBy, type Reached, readReached } from '../target/reached-tables.ts';
import type { Session } from '../target/session.ts';

export interface Making {
  readonly session: Session;
  readonly plan: PlanSpec;
  /** the subject */
  readonly relation: Relation;
  readonly destination: ArchiveDestination;
  readonly runId: string;
}

/** What the archive of a run will hold: the subject's rows, and with INCLUDE those of every table that goes along. */
export async function archiveContent(making: Making): Promise<ArchiveContent> {
  const { session, plan, relation, destination, runId } = making;
  const isIncluding = 'dependents' in plan.operation && plan.operation.dependents === 'INCLUDE';
  const reached = isIncluding
    ? await session.transaction(() => readReached(session, relation, followedBy('INCLUDE')))
    : null;
  const merged = await mergedContent(making);
  const refersToItself = relation.inbound.some(({ tableOid }) => tableOid === relation.oid);
  return {
    columns: columnsOf(relation),
    holder:
      destination.kind === 'TABLE'
        ? { schema: destination.schema, name: holderName(destination.table, runId) }
        : null,
    ...(reached !== null && {
      parts: [...tableParts(making, reached), ...referenceParts(making, reached)],
      keys: keysOf(making, reached),
    }),
    ...merged,
    ...(destination.kind === 'TABLE' &&
      (refersToItself || reached !== null || merged.parts !== undefined) && {
        batchColumn: batchColumn(reached?.tables ?? [relation]),
      }),
  };
}

const columnsOf = ({ columns }: Relation) =>
  columns.map(({ name, type, number }) => ({ name, type, number }));

const partOf = ({ plan }: Making, { oid }: Relation): number =>
  plan.relations.findIndex((planned) => planned.oid === oid);

function tableParts(making: Making, { subject, tables }: Reached): ArchivePart[] {
  return tables
    .filter((table) => table !== subject)
    .map((table) => {
      const number = partOf(making, table);
      return {
        number,
        schema: table.schema,
        table: table.name,
        columns: columnsOf(table),
        holder: holderOf(making, number),
        reference: null,
      };
    });
}

function holderOf({ destination, plan, runId }: Making, part: number): ArchivePart['holder'] {
  if (destination.kind !== 'TABLE') return null;
  const { schema, table } = archiveTableOf(destination, plan.relations, part);
  return { schema, name: holderName(table, runId) };
}

/** Those that PostgreSQL sets to NULL or a default, in rows that stay. */
const setReferences = ({ edges }: Reached): Edge[] =>
  edges
    .filter(({ key }) => key.onDelete === 'SET_NULL' || key.onDelete === 'SET_DEFAULT')
    .toSorted((a, b) => a.key.oid - b.key.oid);

function referenceParts(making: Making, reached: Reached): ArchivePart[] {
  const { destination, runId } = making;
  return setReferences(reached).map((edge, i) => {
    const { key, child } = edge;
    const identity = child.primaryKey ?? [];
    const typeOf = (name: string) => child.columns.find((column) => column.name === name)?.type ?? '';
    return {
      number: -1 - i,
      schema: child.schema,
      table: child.name,
      columns: [
        ...identity.map((name, k) => ({ name: `key_${k + 1}`, type: typeOf(name) })),
        ...key.setColumns.map((name, k) => ({ name: `old_${k + 1}`, type: typeOf(name) })),
      ],
      holder:
        destination.kind === 'TABLE'
          ? { schema: destination.schema, name: holderName(`${i + 1}_${key.name}`, runId) }
          : null,
      reference: {
        ...keyOf(making, edge),
        oid: key.oid,
        name: key.name,
        onDelete: key.onDelete as 'SET_NULL' | 'SET_DEFAULT',
        identity,
        changed: key.setColumns,
      },
    };
  });
}

const keyOf = (making: Making, { key, child, parent }: Edge): ArchivedKey => ({
  child: partOf(making, child),
  parent: partOf(making, parent),
  columns: key.columns,
  referencedColumns: key.referencedColumns,
  operators: key.operators,
});

const keysOf = (making: Making, { edges, deletes }: Reached): ArchivedKey[] =>
  edges.filter(({ key }) => deletes(key)).map((edge) => keyOf(making, edge));

/** A name that no column has. */
function batchColumn(tables: readonly Relation[]): string {
  const taken = new Set(tables.flatMap(({ columns }) => columns.map(({ name }) => name)));
  let name = 'declutter_batch';
  while (taken.has(name)) name += '_';
  return name;
}
