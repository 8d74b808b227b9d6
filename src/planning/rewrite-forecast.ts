import { badInput, notFound } from '../errors.ts';
import type { OperationSpec, PlanImpact } from '../domain/plan.ts';
import type { Index, Relation } from '../target/catalog.ts';
import { clusterSql, vacuumFullSql } from '../target/reorganization-sql.ts';
import type { MethodForecast } from './method-forecast.ts';
import { nameOf, notice } from './plan-context.ts';
import type { TableLook } from './table-look.ts';

/** Of what is left: read, written, and its indexes built; measured on two cores, with room to spare. */
const REWRITTEN_BYTES_PER_SECOND = 40_000_000;
/** What a sort or an index scan adds. */
const ORDERED = 1.5;

/** A new copy of the table takes its place, while nobody reads or writes it: only when asked for. */
export const vacuumFullForecast = (look: TableLook): MethodForecast =>
  rewriteForecast(look, { kind: 'REORGANIZATION', method: 'VACUUM_FULL' }, 1, [
    {
      description: `Write ${nameOf(look.relation)} anew without its free space, with its TOAST table and indexes; everybody else waits`,
      sql: vacuumFullSql(look.relation),
    },
  ]);

/** @throws BAD_USER_INPUT without an index, NOT_FOUND for one that the table does not have */
export function clusterForecast(look: TableLook, name: string | null): MethodForecast {
  const { relation } = look;
  const index = orderingIndex(relation, name);
  const forecast = rewriteForecast(
    look,
    {
      kind: 'REORGANIZATION',
      method: 'CLUSTER',
      index: { oid: index.oid, schema: index.schema, name: index.name },
    },
    ORDERED,
    [
      {
        description: `Write ${nameOf(relation)} anew in the order of ${index.name}, without its free space; everybody else waits`,
        sql: clusterSql(relation, index),
      },
    ],
  );
  const unfit = whyUnfit(index);
  return unfit === null
    ? forecast
    : { ...forecast, blockers: [...forecast.blockers, notice('INDEX_UNFIT', unfit)] };
}

function orderingIndex(relation: Relation, name: string | null): Index {
  if (name === null) throw badInput('CLUSTER needs index: the one that gives the order.');
  const index = relation.indexes.find((candidate) => candidate.name === name);
  if (index === undefined) throw notFound(`The index "${name}" of ${nameOf(relation)}`);
  return index;
}

function whyUnfit({ name, method, predicate, isValid }: Index): string | null {
  if (!isValid) return `The index ${name} is not valid: no order can be taken from it.`;
  if (predicate !== null) return `The index ${name} has a WHERE clause: it does not know all rows.`;
  return method === 'btree' || method === 'gist'
    ? null
    : `A table cannot be ordered by an index of the method ${method}.`;
}

function rewriteForecast(
  look: TableLook,
  operation: Extract<OperationSpec, { kind: 'REORGANIZATION' }>,
  effort: number,
  steps: MethodForecast['steps'],
): MethodForecast {
  const { relation } = look;
  const impact = rewriteImpact(look, effort);
  const seconds = impact.estimatedSeconds ?? 0;
  return {
    operation,
    wins: true,
    why: 'It writes the table anew.',
    impact,
    effects: [],
    locks: [{ relation: nameOf(relation), mode: 'ACCESS EXCLUSIVE', longestMs: seconds * 1_000 }],
    blockers: [],
    warnings: [
      notice(
        'TABLE_LOCKED',
        `Nobody can read or write ${nameOf(relation)} for about ${seconds} s.`,
        'COMPACT and REPACK give the same room back while everybody works.',
      ),
    ],
    steps,
  };
}

/** A second copy of what is left, beside the old one until the end. */
export function rewriteImpact(look: TableLook, effort: number): PlanImpact {
  const { relation } = look;
  const wasted = wasteOf(look);
  const left = relation.totalBytes - (wasted ?? 0);
  return {
    rows: 0,
    rowsAreExact: true,
    share: 0,
    bytes: relation.totalBytes,
    estimatedSeconds: Math.ceil((effort * left) / REWRITTEN_BYTES_PER_SECOND) + 1,
    walBytes: left,
    diskNeededBytes: left,
    bytesReclaimed: wasted,
    bytesReusable: 0,
  };
}

/** Of the table, its TOAST table and its indexes: what a rewrite gives back. null: not known of all of them */
export function wasteOf({ bloat, indexes }: TableLook): number | null {
  const parts = [bloat, ...indexes.map((index) => index.bloat)];
  let wasted = 0;
  for (const part of parts) {
    if (part?.wastedBytes == null) return null;
    wasted += part.wastedBytes;
  }
  return wasted;
}
