import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, integer, type Sql, sql, toText } from '../target/sql.ts';
import { type Holder, holdersInWords } from '../target/waits.ts';
import type { Statement } from './define-operation.ts';
import { sized } from './sized.ts';
import { readVacuumProgress } from './vacuum-table.ts';

/** A run that rests lets VACUUM rest as autovacuum does; one that does not wants it over. */
const GENTLE_DELAY_MS = 2;
const LOCK_TIMEOUT_MS = 2_000;

/**
 * Dead rows leave the pages and all indexes, or an empty page could not be given back; then the empty end is. PARALLEL 0: workers
 * would take the processors that others need.
 */
export function compactVacuum(
  session: Session,
  { schema, name, oid }: Relation,
  options: { readonly withToast: boolean; readonly isGentle: boolean; readonly isWhole: boolean },
): Statement {
  const [toast, whole] = [options.withToast, options.isWhole].map((is) =>
    fromCatalog(is ? 'TRUE' : 'FALSE'),
  ) as [Sql, Sql];
  let before = 0;
  return {
    description: `Make room in ${schema}.${name}, and give back its empty end`,
    sql: toText(
      sql`VACUUM (INDEX_CLEANUP ON, TRUNCATE TRUE, PROCESS_TOAST ${toast}, DISABLE_PAGE_SKIPPING ${whole}, PARALLEL 0) ${ident(schema, name)}`,
    ),
    settings: [`SET vacuum_cost_delay = ${options.isGentle ? GENTLE_DELAY_MS : 0}`],
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    progress: (monitor) => readVacuumProgress(monitor, session.backend.pid, oid),
    cleanUp: async () => {
      before = await tableBytes(session, oid);
      return [];
    },
    verify: () => Promise.resolve(null),
    outcome: async () =>
      `${schema}.${name} has ${sized(await tableBytes(session, oid))}, and had ${sized(before)}.`,
  };
}

/** Without its TOAST table and its indexes. */
async function tableBytes(session: Session, oid: number): Promise<number> {
  const { bytes } = await session.transaction(() =>
    session.one<{ bytes: number }>(
      sql`SELECT coalesce(pg_catalog.pg_relation_size(${integer(oid)}::pg_catalog.oid), 0)::pg_catalog.float8 AS bytes`,
    ),
  );
  return bytes;
}

/** A run has tried for longer than this. */
const OLD_SECONDS = 2;

/** Whose transactions keep the end where it is: by locks on rows or on the table, or since they may still see what was moved. */
export const readHolders = (session: Session, { oid }: Relation): Promise<readonly Holder[]> =>
  session.transaction(() =>
    session.query<Holder>(sql`
      SELECT a.pid, nullif(a.application_name, '') AS name, a.xact_start::pg_catalog.timestamptz(0)::pg_catalog.text AS since
        FROM pg_catalog.pg_stat_activity AS a
       WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
         AND a.datname = pg_catalog.current_database()
         AND a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => ${integer(OLD_SECONDS)})
         AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL
              OR EXISTS (SELECT FROM pg_catalog.pg_locks AS l
                          WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.relation = ${integer(oid)}))
      UNION ALL
      SELECT 0, NULL, NULL FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
       ORDER BY since NULLS LAST, pid LIMIT 3`),
  );

export const endKept = ({ schema, name }: Relation, holders: readonly Holder[]): Stop => {
  const who =
    holders.length > 0 ? holdersInWords(holders) : 'another session, a replication slot or a standby';
  return new Stop(
    'LOCKED',
    `The end of ${schema}.${name} cannot be emptied and given back: ${who} uses the table, or may still see rows there. Resume when that has ended.`,
  );
};
