import type { PartitionSpec } from '../domain/partition.ts';
import { Stop } from '../domain/stop.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, integer, literal, sql, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

/** Nobody waits longer behind a lock that we wait for; the engine tries again, and pauses with who holds it. */
const SHORT_LOCK_MS = 100;

/** Keeps rows out of a detached partition: it is ours until it is dropped or attached again. */
const GUARD = 'declutter_detached';

const DEPENDENT_OBJECTS = '2BP01';

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }) =>
  toText(ident(schema, name));

/**
 * Takes the partition away from its table, inside the open transaction; nobody adds a row to it from here on. Whether it can be
 * dropped later is tried now: it must not become known when its rows are archived.
 */
export async function detach(session: Session, partition: PartitionSpec): Promise<void> {
  const [parent, table] = [nameOf(partition.parent), nameOf(partition)];
  // The table above comes first, as in every query of it; ONLY, or all of its partitions would be locked.
  await lockShortly(session, `ONLY ${parent}, ONLY ${table}`);
  await session.script(`ALTER TABLE ${parent} DETACH PARTITION ${table}; SAVEPOINT declutter_drop`);
  try {
    await session.script(`DROP TABLE ${table}`);
  } catch (error) {
    throw error instanceof TargetError && error.sqlstate === DEPENDENT_OBJECTS
      ? undroppable(partition, error)
      : error;
  }
  await session.script(
    `ROLLBACK TO SAVEPOINT declutter_drop; ALTER TABLE ${table} ADD CONSTRAINT ${GUARD} CHECK (false) NOT VALID`,
  );
}

const undroppable = ({ schema, name }: PartitionSpec, cause: TargetError): Stop =>
  new Stop(
    'DEPENDENTS',
    `Other objects (a view, say) depend on the partition ${schema}.${name}, which was to be dropped. Nothing of it has changed. ` +
      'Drop or change them and resume, or cancel and plan again.',
    'PAUSED',
    { cause },
  );

/**
 * Gives the partition back to its table, with the rows that are in it, inside the open transaction. PostgreSQL reads it once to
 * see that its rows are within the bounds; nobody else can use it yet.
 */
export async function attach(session: Session, partition: PartitionSpec): Promise<void> {
  const [parent, table] = [nameOf(partition.parent), nameOf(partition)];
  await session.longRead();
  try {
    await session.script(
      `LOCK TABLE ONLY ${table} IN ACCESS EXCLUSIVE MODE; ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${GUARD}; ` +
        `ALTER TABLE ${parent} ATTACH PARTITION ${table} ${toText(fromCatalog(partition.bounds))}`,
    );
  } catch (error) {
    throw error instanceof TargetError && error.failure === 'OTHER' ? unattachable(partition, error) : error;
  }
}

const unattachable = ({ schema, name, parent, bounds }: PartitionSpec, cause: TargetError): Stop =>
  new Stop(
    'CONFLICT',
    `The partition ${schema}.${name} is detached and cannot be attached again: another one has taken its place, or rows have come to the default partition. ` +
      `All rows that are not archived are in it. Make room, then: ALTER TABLE ${nameOf({ schema, name })} DROP CONSTRAINT ${GUARD}; ` +
      `ALTER TABLE ${nameOf(parent)} ATTACH PARTITION ${nameOf({ schema, name })} ${bounds};`,
    'FAILED',
    { cause },
  );

/** Drops the detached partition, inside the open transaction; @returns how many rows were in it */
export async function drop(
  session: Session,
  partition: PartitionSpec,
  assertKept: (rows: number) => void,
): Promise<number> {
  const table = nameOf(partition);
  await session.longRead();
  // Whoever reads it by its name goes on reading while it is counted.
  await session.script(`LOCK TABLE ONLY ${table} IN SHARE MODE`);
  const { rows } = await session.one<{ rows: string }>(
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS rows FROM ONLY ${ident(partition.schema, partition.name)}`,
  );
  assertKept(Number(rows));
  await lockShortly(session, `ONLY ${table}`);
  await session.script(`DROP TABLE ${table}`);
  return Number(rows);
}

async function lockShortly(session: Session, tables: string): Promise<void> {
  await session.script(
    `SET LOCAL lock_timeout = ${SHORT_LOCK_MS}; LOCK TABLE ${tables} IN ACCESS EXCLUSIVE MODE`,
  );
}

export interface DetachedState {
  /** It is as detach left it: no row was added or changed since. */
  readonly isOurs: boolean;
  readonly isAttached: boolean;
  /** changes when the table is rewritten, and with it the places of its rows */
  readonly file: number;
}

/** null: the table is gone. */
export async function readDetached(session: Session, { oid }: PartitionSpec): Promise<DetachedState | null> {
  const [state] = await session.query<DetachedState>(sql`
    SELECT NOT c.relispartition AND EXISTS (
             SELECT FROM pg_catalog.pg_constraint AS k
              WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conname = ${literal(GUARD)}) AS "isOurs",
           c.relispartition AS "isAttached",
           pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.int8::pg_catalog.float8 AS file
      FROM pg_catalog.pg_class AS c WHERE c.oid = ${integer(oid)}`);
  return state ?? null;
}

/** Somebody else has laid hands on the table meanwhile: what is where is no longer known. */
export const meddled = ({ schema, name }: PartitionSpec): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `${schema}.${name}, which the run has detached, is not as it was left: it was dropped, attached, rewritten, or the constraint ${GUARD} is gone. ` +
      'Nothing more of it is archived or dropped. See what was done to it, then cancel the run.',
  );
