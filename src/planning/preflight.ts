import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { integer, literal, sql, toText, ident } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

const GIGABYTE = 1_000_000_000;
/** A slot that keeps this much write-ahead log, or a transaction this old, is worth a look before more is written. */
const SLOT_BYTES = GIGABYTE;
const OLD_MINUTES = 10;
/** Three quarters of the way to the age at which PostgreSQL refuses writes. */
const OLD_AGE = 1_500_000_000;

interface Facts {
  readonly materializedViews: readonly string[];
  readonly invalidIndexes: readonly string[];
  readonly exclusions: readonly string[];
  readonly deferrable: readonly string[];
  readonly largeObjects: readonly string[];
  readonly collations: readonly string[];
  readonly toastBytes: number;
  readonly age: number;
  readonly isKeyed: boolean;
  readonly vacuum: readonly { readonly pid: number; readonly forWraparound: boolean }[];
  readonly slots: readonly { readonly name: string; readonly bytes: number }[];
  readonly prepared: readonly { readonly name: string; readonly minutes: number }[];
  readonly snapshots: readonly { readonly pid: number; readonly minutes: number }[];
}

/** What else is worth knowing before rows of a table are deleted; archived: and kept, to come back one day. */
export async function preflight(
  { session }: Pick<PlanContext, 'session'>,
  relation: Relation,
  { archived }: { readonly archived: boolean },
): Promise<PlanNotice[]> {
  const facts = await session.transaction(() => readFacts(session, relation));
  return [
    ...ofTable(relation, facts),
    ...(archived ? ofArchive(relation, facts) : []),
    ...ofServer(relation, facts),
  ];
}

function ofTable(relation: Relation, facts: Facts): PlanNotice[] {
  const name = nameOf(relation);
  return [
    ...when(
      facts.materializedViews.length > 0,
      'MATERIALIZED_VIEWS',
      `Materialized views show rows of ${name} until they are refreshed: ${facts.materializedViews.join(', ')}.`,
      'REFRESH MATERIALIZED VIEW CONCURRENTLY after the run, where the rows should go from them too.',
    ),
    ...when(
      facts.invalidIndexes.length > 0,
      'INVALID_INDEX',
      `Indexes of ${name} are not valid, and are kept up for nothing: ${facts.invalidIndexes.join(', ')}.`,
      'Rebuild them by planReindex, or drop them.',
    ),
    ...when(
      facts.deferrable.length > 0,
      'DEFERRABLE_KEY',
      `Foreign keys to ${name} may be checked at COMMIT only: ${facts.deferrable.join(', ')}.`,
      'A batch that breaks one is rolled back then, and the run pauses with DEPENDENTS.',
    ),
    ...when(
      facts.largeObjects.length > 0,
      'LARGE_OBJECTS',
      `Columns of ${name} may name large objects (${facts.largeObjects.join(', ')}), which stay and are not archived.`,
      'vacuumlo removes large objects that nothing names any more.',
    ),
    ...when(
      facts.collations.length > 0,
      'COLLATION_VERSION',
      `The library's collations have another version than when indexes of ${name} were built (${facts.collations.join(', ')}): look-ups through them, those of foreign keys too, may miss rows.`,
      `Rebuild the indexes (planReindex), then ALTER COLLATION ... REFRESH VERSION.`,
    ),
    ...when(
      facts.toastBytes > relation.heapBytes && facts.toastBytes > GIGABYTE / 10,
      'TOAST_SIZE',
      `Most of ${name} lies in its TOAST table (${Math.round(facts.toastBytes / 1e6)} MB): deletes write there too, and its space becomes free by VACUUM.`,
    ),
    ...facts.vacuum.map(({ pid, forWraparound }) =>
      notice(
        'AUTOVACUUM_RUNNING',
        `VACUUM is at work on ${name} (pid ${pid}${forWraparound ? ', against transaction wraparound: it does not give way' : ''}).`,
        'A run beside it is safe; both are slower.',
      ),
    ),
    ...when(
      facts.age > OLD_AGE,
      'WRAPAROUND_AGE',
      `The oldest row of ${name} is ${facts.age} transactions old; at 2 000 000 000 PostgreSQL stops writes.`,
      `VACUUM (FREEZE) ${toText(ident(relation.schema, relation.name))}; comes before a large delete.`,
    ),
  ];
}

function ofArchive(relation: Relation, facts: Facts): PlanNotice[] {
  const name = nameOf(relation);
  const generated = relation.columns.filter((column) => column.generated).map((column) => column.name);
  return [
    ...when(
      !facts.isKeyed,
      'NO_KEY',
      `${name} has no primary key and no unique index without NULLs: a restore cannot tell a row that is back from one that is not.`,
      'Restore it once, whole; or into: SIDE_TABLE.',
    ),
    ...when(
      facts.exclusions.length > 0,
      'EXCLUSION_CONSTRAINT',
      `Restored rows may collide with later ones by exclusion constraints of ${name}: ${facts.exclusions.join(', ')}.`,
    ),
    ...when(
      generated.length > 0,
      'GENERATED_COLUMNS',
      `Generated columns of ${name} are archived as they are (${generated.join(', ')}), and computed anew by a restore.`,
    ),
  ];
}

function ofServer(_relation: Relation, facts: Facts): PlanNotice[] {
  return [
    ...facts.slots.map(({ name, bytes }) =>
      notice(
        'SLOT_LAG',
        `The replication slot ${name} keeps ${(bytes / GIGABYTE).toPrecision(2)} GB of write-ahead log; what a run writes comes on top.`,
        'Look after its subscriber, or drop the slot when nobody needs it.',
      ),
    ),
    ...facts.prepared.map(({ name, minutes }) =>
      notice(
        'PREPARED_TRANSACTION',
        `The prepared transaction ${name} has been open for ${minutes} minutes: it keeps its locks, and dead rows from being removed.`,
        'COMMIT PREPARED or ROLLBACK PREPARED it.',
      ),
    ),
    ...facts.snapshots.map(({ pid, minutes }) =>
      notice(
        'OLD_SNAPSHOT',
        `The session with pid ${pid} has had a transaction open for ${minutes} minutes: space of deleted rows becomes free only when it has ended.`,
        'The run keeps its speed; VACUUM has to wait.',
      ),
    ),
  ];
}

const when = (applies: boolean, code: string, message: string, hint: string | null = null): PlanNotice[] =>
  applies ? [notice(code, message, hint)] : [];

const readFacts = (session: Session, { oid }: Relation): Promise<Facts> => {
  const table = sql`${integer(oid)}::pg_catalog.oid`;
  return session.one<Facts>(sql`
    SELECT ARRAY(SELECT DISTINCT v.oid::pg_catalog.regclass::pg_catalog.text
                   FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND d.classid = 2618
                   JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'm'
                  WHERE d.refclassid = 1259 AND d.refobjid = ${table} ORDER BY 1) AS "materializedViews",
           ARRAY(SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_index i
                  WHERE i.indrelid = ${table} AND NOT i.indisvalid ORDER BY 1) AS "invalidIndexes",
           ARRAY(SELECT k.conname::pg_catalog.text FROM pg_catalog.pg_constraint k
                  WHERE k.conrelid = ${table} AND k.contype = 'x' ORDER BY 1) AS exclusions,
           ARRAY(SELECT k.conname::pg_catalog.text FROM pg_catalog.pg_constraint k
                  WHERE k.confrelid = ${table} AND k.contype = 'f' AND k.condeferrable AND k.confdeltype = 'a' ORDER BY 1) AS deferrable,
           ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                  WHERE a.attrelid = ${table} AND a.attnum > 0 AND NOT a.attisdropped AND (t.oid = 26 OR t.typname = 'lo') ORDER BY 1) AS "largeObjects",
           ARRAY(SELECT DISTINCT l.collname::pg_catalog.text
                   FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indcollation::pg_catalog.oid[]) u(used)
                   JOIN pg_catalog.pg_collation l ON l.oid = u.used
                  WHERE i.indrelid = ${table} AND l.collversion <> pg_catalog.pg_collation_actual_version(l.oid) ORDER BY 1) AS collations,
           (SELECT coalesce(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)), 0)::pg_catalog.float8 FROM pg_catalog.pg_class c WHERE c.oid = ${table}) AS "toastBytes",
           (SELECT CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_catalog.age(c.relfrozenxid) END FROM pg_catalog.pg_class c WHERE c.oid = ${table}) AS age,
           EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = ${table} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) u(n)
                                        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n WHERE NOT a.attnotnull)) AS "isKeyed",
           (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('pid', p.pid,
                      'forWraparound', coalesce(a.query, '') LIKE '%to prevent wraparound%') ORDER BY p.pid), '[]')
              FROM pg_catalog.pg_stat_progress_vacuum p LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
             WHERE p.relid = ${table} AND p.datname = pg_catalog.current_database()) AS vacuum,
           (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', slot_name, 'bytes', bytes) ORDER BY slot_name), '[]')
              FROM (SELECT slot_name, CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0
                             ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn) END AS bytes
                      FROM pg_catalog.pg_replication_slots) s WHERE bytes > ${integer(SLOT_BYTES)}) AS slots,
           (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', gid, 'minutes', ${minutes('prepared')}) ORDER BY prepared), '[]')
              FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
               AND prepared < pg_catalog.now() - interval '1 minute') AS prepared,
           (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('pid', pid, 'minutes', ${minutes('xact_start')}) ORDER BY xact_start), '[]')
              FROM (SELECT pid, xact_start FROM pg_catalog.pg_stat_activity
                     WHERE backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
                       AND xact_start < pg_catalog.now() - ${literal(`${OLD_MINUTES} minutes`)}::pg_catalog.interval
                     ORDER BY xact_start LIMIT 3) old) AS snapshots`);
};

const minutes = (since: 'prepared' | 'xact_start') =>
  sql`(extract(epoch FROM pg_catalog.now() - ${ident(since)}) / 60)::pg_catalog.int4`;
