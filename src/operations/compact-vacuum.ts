import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, integer, type Sql, sql, toText } from '../target/sql.ts';
import { type Holder, holdersInWords, readTableUsers } from '../target/waits.ts';
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

/** Who keeps the end where it is: by a lock on rows or on the table, or by a snapshot that may still see what was moved. */
export async function endKept(session: Session, { schema, name, oid }: Relation): Promise<Stop> {
  const users = await readTableUsers(session, oid);
  const holders = users.length > 0 ? users : await readSnapshots(session);
  const who =
    holders.length > 0 ? holdersInWords(holders) : 'a replication slot, a standby or a prepared transaction';
  return new Stop(
    'LOCKED',
    `The end of ${schema}.${name} cannot be emptied and given back: ${who} uses the table, or may still see rows there. Resume when that has ended.`,
  );
}

const readSnapshots = (session: Session): Promise<readonly Holder[]> =>
  session.transaction(() =>
    session.query<Holder>(sql`
      SELECT pid, nullif(application_name, '') AS name, xact_start::pg_catalog.timestamptz(0)::pg_catalog.text AS since
        FROM pg_catalog.pg_stat_activity
       WHERE backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() AND datname = pg_catalog.current_database()
       ORDER BY pg_catalog.age(backend_xmin) DESC, pid LIMIT 1`),
  );
