import type { TestDatabase } from '../support/postgres.ts';
import { planOf, type PlanNode, reads } from './plan-of.ts';

/** What PostgreSQL runs on a table, or on one leaf of it, when a row that it may reference goes. */
export interface LookUp {
  readonly schema: string;
  readonly leaf: string;
  readonly columns: readonly string[];
  readonly statement: string;
  readonly parameterTypes: string;
  readonly parameters: number;
}

/** As ri_triggers.c builds it, written down a second time from the catalog alone. */
export async function lookUpsOf(database: TestDatabase): Promise<LookUp[]> {
  const rows = await database.run(`
    SELECT n.nspname AS schema, leaf.relname AS leaf, q.columns, q.parameters::int, q."parameterTypes",
           format('SELECT 1 FROM ONLY %I.%I x WHERE %s FOR KEY SHARE OF x', n.nspname, leaf.relname, q.condition) AS statement
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (SELECT c.oid AS relid WHERE c.relkind = 'r' UNION SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf) tree
      JOIN pg_class leaf ON leaf.oid = tree.relid
     CROSS JOIN LATERAL (
       SELECT json_agg(a.attname ORDER BY u.i) AS columns, count(*) AS parameters,
              string_agg(format_type(p.atttypid, NULL), ', ' ORDER BY u.i) AS "parameterTypes",
              string_agg(format('$%s OPERATOR(%I.%s) x.%I%s%s', u.i, s.nspname, o.oprname, a.attname,
                CASE WHEN a.atttypid <> o.oprright THEN '::' || format_type(o.oprright, NULL) END,
                CASE WHEN p.attcollation <> a.attcollation AND NOT l.collisdeterministic
                  THEN format(' COLLATE %I.%I', m.nspname, l.collname) END), ' AND ' ORDER BY u.i) AS condition
         FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY u (child, parent, op, i)
         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.child
         JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = u.parent
         JOIN pg_operator o ON o.oid = u.op JOIN pg_namespace s ON s.oid = o.oprnamespace
         LEFT JOIN pg_collation l ON l.oid = p.attcollation LEFT JOIN pg_namespace m ON m.oid = l.collnamespace) q
     WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY n.nspname, leaf.relname, q.columns::text`);
  return rows as unknown as LookUp[];
}

/** An index that makes a look-up dearer than this share of reading everything only narrows the search. */
const SHARE_OF_ALL = 0.2;

/**
 * Whether the planner, asked not to read the whole table, finds the rows by an index that spares it most of the reading,
 * by its own reckoning. The plan is the generic one, which serves every value.
 */
export async function isServedByPlanner(database: TestDatabase, lookUp: LookUp): Promise<boolean> {
  const whole = await planUnder(database, lookUp, WITHOUT_INDEXES);
  const sought = await planUnder(database, lookUp, 'SET enable_seqscan = off');
  if (!reads(whole, 'Seq Scan')) throw new Error('The yardstick is not a sequential scan.');
  return !reads(sought, 'Seq Scan') && sought[0]!['Total Cost'] <= SHARE_OF_ALL * whole[0]!['Total Cost'];
}

const WITHOUT_INDEXES = 'SET enable_indexscan = off; SET enable_bitmapscan = off';

/** Prepared anew each time: a cached plan does not notice another setting. */
async function planUnder(database: TestDatabase, lookUp: LookUp, settings: string): Promise<PlanNode[]> {
  const nulls = Array.from({ length: lookUp.parameters }, () => 'NULL').join(', ');
  await database.run(
    `${settings}; SET plan_cache_mode = force_generic_plan; PREPARE lookup (${lookUp.parameterTypes}) AS ${lookUp.statement}`,
  );
  try {
    return await planOf(database, `EXECUTE lookup (${nulls})`);
  } finally {
    await database.run('DEALLOCATE lookup; RESET ALL');
  }
}
