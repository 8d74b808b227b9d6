import type { DatabaseIdentity } from '../domain/plan.ts';
import type { Session } from './session.ts';
import { sql } from './sql.ts';

/** Which server and database a session has reached: a host name says little, a restored copy answers under the same one. */
export async function readIdentity(session: Session): Promise<DatabaseIdentity> {
  const row = await session.one<{ system: string; oid: string; name: string }>(sql`
    SELECT (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()) AS system,
           oid::pg_catalog.text AS oid, datname AS name
      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`);
  return { systemIdentifier: row.system, databaseOid: Number(row.oid), databaseName: row.name };
}

export const sameIdentity = (a: DatabaseIdentity, b: DatabaseIdentity): boolean =>
  a.systemIdentifier === b.systemIdentifier &&
  a.databaseOid === b.databaseOid &&
  a.databaseName === b.databaseName;
