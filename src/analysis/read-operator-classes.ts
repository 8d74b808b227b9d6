import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';

export interface OperatorClass {
  readonly family: number;
  readonly inputType: number;
  /** what B-tree and hash compare by; null for other methods */
  readonly equality: number | null;
  /** equal means identical, so that a B-tree may keep a key once, unless the collation is loose */
  readonly equalIsSame: boolean;
}

export interface OperatorClasses {
  of(oid: number | null): OperatorClass | undefined;
  /** nondeterministic collations: equal texts may differ */
  readonly looseCollations: ReadonlySet<number>;
}

/** All of them: a few hundred. */
export async function readOperatorClasses(session: Session): Promise<OperatorClasses> {
  const rows = await readCatalog<OperatorClass & { oid: number }>(
    session,
    sql`SELECT o.oid AS oid, o.opcfamily AS family, o.opcintype AS "inputType", e.amopopr AS equality,
               EXISTS (SELECT FROM pg_catalog.pg_amproc p
                        WHERE p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype
                          AND p.amprocnum = 4 AND m.amname = 'btree') AS "equalIsSame"
          FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
          LEFT JOIN pg_catalog.pg_amop e ON e.amopfamily = o.opcfamily AND e.amoplefttype = o.opcintype AND e.amoprighttype = o.opcintype
                AND e.amoppurpose = 's' AND e.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 WHEN 'hash' THEN 1 END
         ORDER BY o.oid`,
  );
  const loose = await readCatalog<{ oid: number }>(
    session,
    sql`SELECT k.oid AS oid FROM pg_catalog.pg_collation k WHERE NOT k.collisdeterministic ORDER BY k.oid`,
  );
  const classes = new Map(rows.map((row) => [row.oid, row]));
  return {
    of: (oid) => classes.get(oid ?? 0),
    looseCollations: new Set(loose.map((row) => row.oid)),
  };
}
