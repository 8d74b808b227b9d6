type Run = (sql: string) => Promise<Record<string, unknown>[]>;

/** Everything that makes up the schema, one line each. */
const CATALOG = `
  SELECT line FROM (SELECT concat_ws(' ', c.relkind, n.nspname, c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
   WHERE n.nspname !~ '^pg_|^information_schema$|^pgboss$|^rate_limit$'
  UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index
  UNION ALL SELECT concat_ws(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid)) FROM pg_constraint
  UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
  UNION ALL SELECT concat_ws(' ', oid::regprocedure::text, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  ) AS lines ORDER BY line COLLATE "C"`;

const TABLES = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_|^information_schema$|^pgboss$|^rate_limit$' ORDER BY format('%I.%I', n.nspname, c.relname) COLLATE "C"`;

/** A database as text: its definitions, and of each table the number of rows and a hash of them. without: names and conditions of rows that do not count. */
export async function dumpOf(run: Run, without: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const lines = (await run(CATALOG)).map(({ line }) => String(line));
  for (const { name } of await run(TABLES)) {
    const table = String(name);
    const left = without[table];
    const [row] = await run(`
      SELECT count(*)::text AS rows, md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) AS hash
        FROM ${table} AS t ${left === undefined ? '' : `WHERE NOT (${left})`}`);
    lines.push(`${table} ${String(row?.['rows'])} ${String(row?.['hash'])}`);
  }
  return lines;
}
