import type { PlanLock, PlanStep } from '../domain/plan.ts';
import { fromCatalog, ident, join, type Sql, sql, toText } from '../target/sql.ts';
import { nameOf } from './plan-context.ts';
import type { Look } from './plan-deletion.ts';

type Step = Omit<PlanStep, 'position'>;

export const LEDGER_STEP: Step = {
  description: 'Make the ledger, when this is the first run in the database',
  sql: 'CREATE SCHEMA IF NOT EXISTS declutter',
};

export const SEAL_STEP: Step = {
  description: 'Seal the archive: each part is read back and listed with its rows and checksum',
  sql: '',
};

/** What the run does, in order, with the SQL of each step. */
export const deletionSteps = (look: Look): Step[] => [
  LEDGER_STEP,
  ...tableSteps(look),
  ...rowSteps(look),
  ...(look.destination === null ? [] : [SEAL_STEP]),
];

/** The places of a batch stand for those of all. */
export function rowSteps(look: Look): Step[] {
  const { relation, chosen, condition, throttle } = look;
  const table = ident(relation.schema, relation.name);
  const byIndex = chosen.pick === 'INDEX';
  const places = byIndex
    ? sql`ctid = ANY ('{"(0,1)","(0,2)"}'::pg_catalog.tid[])`
    : sql`ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(64,0)'::pg_catalog.tid`;
  const deletion = sql`DELETE FROM ONLY ${table} WHERE ${places} AND (${condition})`;
  const list: Step = {
    description: `Find the rows: ${chosen.why}`,
    sql: toText(sql`COPY (SELECT ctid FROM ONLY ${table} WHERE ${condition} ORDER BY ctid) TO STDOUT`),
  };
  const batch = `in batches of up to ${throttle.batchRows} rows and about ${throttle.batchMs} ms, each in its own transaction with the ledger's entry`;
  return [
    ...(byIndex ? [list] : []),
    byIndex
      ? { description: `${verb(look)}, ${batch}`, sql: toText(moved(look, deletion)) }
      : { description: `${verb(look)} ${batch}; ${chosen.why}`, sql: toText(moved(look, deletion)) },
    ...(byIndex
      ? []
      : [
          {
            ...list,
            description: 'Look once more for rows that were moved meanwhile, and treat them the same way',
          },
        ]),
  ];
}

function verb({ destination, relation }: Look): string {
  if (destination === null) return `Delete the rows of ${nameOf(relation)}`;
  const to =
    destination.kind === 'TABLE'
      ? `the table ${destination.schema}.${destination.table}`
      : `${destination.kind === 'FILES' ? 'files' : 'objects'} of the store ${destination.store}`;
  return `Move the rows of ${nameOf(relation)} to ${to}`;
}

function moved({ destination, relation }: Look, deletion: Sql): Sql {
  if (destination === null) return deletion;
  const columns = join(
    relation.columns.map(({ name }) => ident(name)),
    ', ',
  );
  if (destination.kind !== 'TABLE') return sql`COPY (${deletion} RETURNING ${columns}) TO STDOUT`;
  return sql`WITH gone AS (${deletion} RETURNING ${columns}) INSERT INTO ${ident(destination.schema, childName(destination.table))} (${columns}) SELECT ${columns} FROM gone`;
}

/** The run's id is not known yet. */
const childName = (table: string) => `${table.slice(0, 50)}_<run>`;

export function tableSteps({ destination, relation }: Pick<Look, 'destination' | 'relation'>): Step[] {
  if (destination?.kind !== 'TABLE') return [];
  const parent = ident(destination.schema, destination.table);
  const columns = join(
    relation.columns.map(
      ({ name, type, collation }) =>
        sql`${ident(name)} ${fromCatalog(type)}${collation === null ? sql`` : sql` COLLATE ${fromCatalog(collation)}`}`,
    ),
    ', ',
  );
  return [
    {
      description: `Make the archive table ${destination.schema}.${destination.table}, when it is absent`,
      sql: toText(sql`CREATE TABLE IF NOT EXISTS ${parent} (${columns})`),
    },
    {
      description: "Make this run's own part of it",
      sql: toText(
        sql`CREATE TABLE ${ident(destination.schema, childName(destination.table))} () INHERITS (${parent})`,
      ),
    },
  ];
}

export function deletionLocks({ relation, destination, throttle }: Look): PlanLock[] {
  return [
    {
      relation: nameOf(relation),
      mode: 'ROW EXCLUSIVE, and the rows of a batch',
      longestMs: throttle.batchMs,
    },
    ...(destination?.kind === 'TABLE'
      ? [
          {
            relation: `${destination.schema}.${destination.table}`,
            mode: 'SHARE UPDATE EXCLUSIVE',
            longestMs: null,
          },
        ]
      : []),
  ];
}
