import type { HeldTable } from '../domain/held-tables.ts';
import type { Session } from './session.ts';
import { integer, join, sql, toText } from './sql.ts';

/** A hold, written through to the database that it protects. */
export interface LedgerHold {
  readonly id: string;
  /** null: not known; the name has to do */
  readonly oid: number | null;
  readonly schema: string;
  readonly table: string;
  readonly reason: string;
}

/**
 * Writes a hold down and waits for every batch that is under way, so that none which has not seen the hold commits after this
 * has returned. Batches that begin meanwhile wait for us: they see it. Nobody else uses the table.
 */
export async function placeInLedger(session: Session, hold: LedgerHold): Promise<void> {
  await session.transaction(async () => {
    await session.script('LOCK TABLE declutter.hold IN EXCLUSIVE MODE');
    await writeHolds(session, [hold]);
  });
}

export async function writeHolds(session: Session, holds: readonly LedgerHold[]): Promise<void> {
  for (const { id, oid, schema, table, reason } of holds) {
    await session.execute(sql`
      INSERT INTO declutter.hold (id, relation, schema_name, table_name, reason)
      VALUES (${id}::pg_catalog.uuid, ${oid === null ? sql`NULL` : integer(oid)}, ${schema}, ${table}, ${reason})
      ON CONFLICT (id) DO NOTHING`);
  }
}

/** Whether there is a ledger that takes holds; one of an older version gets it when its next run begins. */
export async function takesHolds(session: Session): Promise<boolean> {
  const { takes } = await session.one<{ takes: boolean }>(
    sql`SELECT pg_catalog.to_regclass('declutter.hold') IS NOT NULL AS takes`,
  );
  return takes;
}

export async function listLedgerHolds(session: Session): Promise<string[]> {
  const rows = await session.query<{ id: string }>(
    sql`SELECT id::pg_catalog.text AS id FROM declutter.hold AS h ORDER BY h.id`,
  );
  return rows.map(({ id }) => id);
}

export async function removeHolds(session: Session, ids: readonly string[]): Promise<void> {
  await session.execute(sql`DELETE FROM declutter.hold WHERE id = ANY (${[...ids]}::pg_catalog.uuid[])`);
}

/** Before the holds are read in a batch: from here to its end nobody places another. */
export const HOLD_LOCK = 'LOCK TABLE declutter.hold IN ROW SHARE MODE';

/** The hold on any of the tables that the plan does not know of, as text to be prepared; no row: there is none. */
export function holdCheck(tables: readonly HeldTable[], known: readonly string[]): string {
  const names = tables.map(({ schema, name }) => sql`(${schema}::pg_catalog.text, ${name}::pg_catalog.text)`);
  const oids = tables.map(({ oid }) => (oid === null ? sql`NULL` : integer(oid)));
  return toText(sql`
    SELECT id::pg_catalog.text AS held, reason, schema_name AS schema, table_name AS name FROM declutter.hold
     WHERE (relation IN (${join(oids, ', ')}) OR (schema_name, table_name) IN (${join(names, ', ')}))
       AND id <> ALL (${[...known]}::pg_catalog.uuid[]) LIMIT 1`);
}
