import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';

/** A table's file and its indexes at one time. */
export interface TableState {
  /** null: the table is gone. A table that was written anew has another file */
  readonly file: string | null;
  /** those that queries may use */
  readonly validIndexes: readonly string[];
}

export const readTableState = (session: Session, oid: number): Promise<TableState> =>
  session.transaction(() =>
    session.one<TableState>(sql`
      SELECT pg_catalog.pg_relation_filenode(${integer(oid)}::pg_catalog.oid)::pg_catalog.text AS file,
             coalesce((SELECT pg_catalog.json_agg(c.relname ORDER BY c.relname)
                         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                        WHERE i.indrelid = ${integer(oid)} AND i.indisvalid AND i.indisready AND i.indislive), '[]') AS "validIndexes"`),
  );

/** What a rewrite has broken, in a sentence; null: nothing. */
export function brokenBy(before: TableState, after: TableState): string | null {
  if (after.file === null) return 'The table is gone.';
  const lost = before.validIndexes.filter((name) => !after.validIndexes.includes(name));
  if (lost.length > 0) return `No longer there or not valid: ${lost.join(', ')}.`;
  return after.file === before.file ? 'The table was not written anew.' : null;
}
