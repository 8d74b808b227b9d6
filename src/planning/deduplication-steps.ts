import type { ArchiveDestination, OperationSpec, PlanLock, PlanStep } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import type { Relation } from '../target/catalog.ts';
import { hasWholeKey, keyValue, uniqueIndexSql } from '../target/duplicate-key.ts';
import type { MergeGraph } from '../target/merge-graph.ts';
import { ident, join, type Sql, sql, toText } from '../target/sql.ts';
import { LEDGER_STEP, tableSteps } from './deletion-steps.ts';
import { nameOf } from './plan-context.ts';

type Step = Omit<PlanStep, 'position'>;

interface Look {
  readonly relation: Relation;
  readonly graph: MergeGraph;
  readonly spec: Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;
  readonly filter: Sql | null;
  readonly throttle: Throttle;
}

/** What the run does, in order; names of pairs stand for the rows of a batch. */
export function deduplicationSteps(look: Look): Step[] {
  const { relation, graph, spec } = look;
  const repointed = spec.references === 'REPOINT' ? graph.edges : [];
  return [
    LEDGER_STEP,
    ...tableSteps({ relation, destination: spec.destination }),
    {
      description: `Read ${nameOf(relation)} twice, by hashes of the key, for a list of the rows whose key repeats; nothing is sorted`,
      sql: toText(
        sql`COPY (SELECT pg_catalog.hash_record_extended(ROW(${keys(look)}), 0), ctid FROM ONLY ${tableOf(relation)} WHERE ${conditionOf(look)}) TO STDOUT`,
      ),
    },
    batchStep(look),
    ...repointed.map(({ key, child }) => ({
      description: `In the same statement: point the rows of ${nameOf(child)} at the row that stays (${key.name}); those that then say the same as another go too`,
      sql: toText(
        sql`UPDATE ONLY ${tableOf(child)} SET ${join(
          key.columns.map(
            (column, i) => sql`${ident(column)} = stays.${ident(key.referencedColumns[i] as string)}`,
          ),
          ', ',
        )} FROM pairs`,
      ),
    })),
    {
      description: `In the same statement: delete the duplicates, which have been copied to ${nameOfDestination(spec.destination)}`,
      sql: toText(
        sql`DELETE FROM ONLY ${tableOf(relation)} WHERE ctid = ANY ('{"(0,1)"}'::pg_catalog.tid[])`,
      ),
    },
    { description: 'Go through the table again, until no key repeats; then seal the archive', sql: '' },
    {
      description: 'Not part of the run: the index that keeps it so. Create it when the run has ended',
      sql: uniqueIndexSql(relation, spec.key, look.filter),
    },
  ];
}

const tableOf = ({ schema, name }: Relation): Sql => ident(schema, name);
const keys = ({ spec }: Look): Sql => join(spec.key.map(keyValue), ', ');

const conditionOf = ({ relation, spec, filter }: Look): Sql =>
  filter === null ? hasWholeKey(relation, spec.key) : sql`${hasWholeKey(relation, spec.key)} AND ${filter}`;

function batchStep(look: Look): Step {
  const { relation, spec, throttle } = look;
  const order = spec.keep.order === 'LOWEST' ? sql`ASC` : sql`DESC`;
  const ties = [...(relation.primaryKey ?? []).map((name) => ident(name)), sql`ctid`];
  return {
    description: `In batches of up to ${throttle.batchRows} rows and about ${throttle.batchMs} ms, each in its own transaction with the ledger's entry: lock the rows, and compare their keys anew; of each key the one with the ${spec.keep.order.toLowerCase()} ${spec.keep.by} stays`,
    sql: toText(
      sql`SELECT ctid, pg_catalog.first_value(ctid) OVER (PARTITION BY ${keys(look)} ORDER BY ${ident(spec.keep.by)} ${order} NULLS LAST, ${join(ties, ', ')}) FROM ONLY ${tableOf(relation)} WHERE ${conditionOf(look)}`,
    ),
  };
}

const nameOfDestination = (destination: ArchiveDestination): string =>
  destination.kind === 'TABLE'
    ? `the table ${destination.schema}.${destination.table}`
    : `${destination.kind === 'FILES' ? 'files' : 'objects'} of the store ${destination.store}`;

/** Each table is locked as the subject is. */
export const deduplicationLocks = (tables: readonly Relation[], { batchMs }: Throttle): PlanLock[] =>
  tables.map((relation) => ({
    relation: nameOf(relation),
    mode: 'ROW EXCLUSIVE, and the rows of a batch',
    longestMs: batchMs,
  }));
