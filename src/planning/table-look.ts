import type { IdKind } from '../analysis/read-ages.ts';
import type { HorizonHolder } from '../analysis/read-horizon.ts';
import { readDatabaseFigures } from '../analysis/database-figures.ts';
import type { Bloat } from '../domain/finding.ts';
import { type Growth, growthOf } from '../domain/growth.ts';
import { listTableDays } from '../store/history.ts';
import type { Relation } from '../target/catalog.ts';
import { integer, sql } from '../target/sql.ts';
import type { PlanContext } from './plan-context.ts';

/** A table as a reorganization looks at it: now, with its past where there are snapshots of it. */
export interface TableLook {
  readonly relation: Relation;
  readonly counters: Counters;
  /** null: not read, since it is locked or was dropped just now */
  readonly bloat: Bloat | null;
  readonly indexes: readonly { readonly name: string; readonly sizeBytes: number; readonly bloat: Bloat }[];
  /** who keeps rows from being removed, oldest first; not those that hold rows of the system catalogs only */
  readonly holders: readonly HorizonHolder[];
  /** null: too few snapshots */
  readonly growth: Growth | null;
  readonly now: Date;
}

export interface Counters {
  readonly live: number;
  readonly dead: number;
  readonly changed: number;
  readonly everAnalyzed: boolean;
  /** the oldest id in the table or its TOAST table: its age by the age at which autovacuum must come */
  readonly idAge: Readonly<Record<IdKind, number>>;
  readonly freezeMaxAge: Readonly<Record<IdKind, number>>;
  /** age at which VACUUM itself leaves the indexes for later */
  readonly failsafeAge: Readonly<Record<IdKind, number>>;
  readonly maxParallel: number;
}

export async function lookAtTable(context: PlanContext, relation: Relation): Promise<TableLook> {
  const { session, deps, database } = context;
  const { schema, name } = relation;
  const counters = await session.transaction(() => session.one<Counters>(countersSql(relation.oid)));
  const figures = await readDatabaseFigures(session, {
    scope: { schema, table: name },
    exact: null,
    clock: deps.clock,
  });
  const measured = figures.tables.find(({ oid }) => oid === relation.oid);
  const [days] = await listTableDays(deps.store, [{ databaseId: database.id, schema, name }]);
  return {
    relation,
    counters,
    bloat: measured === undefined || measured.locked ? null : measured.bloat,
    indexes: measured?.indexes ?? [],
    holders: figures.holders.filter(({ holds }) => holds === 'ROWS'),
    growth: growthOf(days ?? []),
    now: context.now,
  };
}

const setting = (name: string) =>
  sql`pg_catalog.current_setting(${name})::pg_catalog.int8::pg_catalog.float8`;

const ids = (xid: string, multixact: string) =>
  sql`pg_catalog.json_build_object('XID', ${setting(xid)}, 'MULTIXACT', ${setting(multixact)})`;

/** A table that was never counted has no row in the statistics. */
const countersSql = (oid: number) => sql`
  SELECT coalesce(s.n_live_tup, 0)::pg_catalog.float8 AS live, coalesce(s.n_dead_tup, 0)::pg_catalog.float8 AS dead,
         coalesce(s.n_mod_since_analyze, 0)::pg_catalog.float8 AS changed,
         s.relid IS NULL OR s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL AS "everAnalyzed",
         pg_catalog.json_build_object(
           'XID', greatest(pg_catalog.age(c.relfrozenxid), pg_catalog.age(t.relfrozenxid)),
           'MULTIXACT', greatest(pg_catalog.mxid_age(c.relminmxid), pg_catalog.mxid_age(t.relminmxid))) AS "idAge",
         ${ids('autovacuum_freeze_max_age', 'autovacuum_multixact_freeze_max_age')} AS "freezeMaxAge",
         ${ids('vacuum_failsafe_age', 'vacuum_multixact_failsafe_age')} AS "failsafeAge",
         ${setting('max_parallel_maintenance_workers')} AS "maxParallel"
    FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
    LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
   WHERE c.oid = ${integer(oid)}`;

/** The oldest id's age as a share of the age at which autovacuum must come, whatever it is set to. */
export function freezeShare({ idAge, freezeMaxAge }: Counters): number {
  return Math.max(idAge.XID / freezeMaxAge.XID, idAge.MULTIXACT / freezeMaxAge.MULTIXACT);
}
