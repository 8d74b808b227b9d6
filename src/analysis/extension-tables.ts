import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';

/** Of pg_class c: what an extension has made is the extension's to change. */
export const notOfExtension = sql`NOT EXISTS (
  SELECT FROM pg_catalog.pg_depend e
   WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')`;

/** The OIDs of all relations that belong to extensions. */
export async function readExtensionTables(session: Session): Promise<Set<number>> {
  const rows = await readCatalog<{ oid: number }>(
    session,
    sql`SELECT e.objid AS oid FROM pg_catalog.pg_depend e
         WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.deptype = 'e' ORDER BY e.objid`,
  );
  return new Set(rows.map((row) => row.oid));
}
