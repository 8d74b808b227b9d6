import type { FoundFault } from '../../domain/finding.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import { readCatalog } from '../catalog-query.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredTable,
  tableKey,
} from '../define-analysis.ts';
import { notOfExtension } from '../extension-tables.ts';
import { isNotRead } from '../row-reader.ts';
import { countedPeriod, daysBefore } from '../usage-counters.ts';
import { type WholeTable, wholeTables } from '../whole-tables.ts';

/** A table that we have known for less may be waiting for its first rows. */
const NEW_DAYS = 7;

/** Tables without a single row that are there for no other purpose. */
export const emptyTable = defineAnalysis({
  kind: 'EMPTY_TABLE',
  docs: 'docs/analyses/empty-table.md',
  find: async (context) => {
    // Partitions are left to their table: those for days to come are empty, and are meant to be.
    const candidates = wholeTables(context.figures.tables).filter(({ leaves }) => leaves.every(maybeEmpty));
    if (candidates.length === 0) return [];
    const roles = await readRoles(context, candidates);
    const before = await context.memory.tablesAt(daysBefore(context.now, NEW_DAYS));
    const faults: FoundFault[] = [];
    for (const table of candidates) {
      const role = roleOf(table, roles);
      const isNew = before !== null && !before.has(tableKey(table.root.schema, table.root.name));
      if (!role || role.isTemplate || role.isElsewhere || isNew || isQueue(role)) continue;
      if (await isEmpty(table, context)) faults.push(faultOf(table, role, before !== null, context));
    }
    return faults;
  },
});

/** No page, or nothing that the counters and the last VACUUM know of. */
const maybeEmpty = ({ pages, liveRows }: MeasuredTable) =>
  pages.count === 0 || (liveRows === 0 && pages.rows <= 0);

interface Role {
  readonly oid: number;
  /** others take their columns from it: a parent by inheritance, or a template of pg_partman */
  readonly isTemplate: boolean;
  /** a part of it is a foreign table, whose rows are not here to be counted */
  readonly isElsewhere: boolean;
  readonly inserted: number;
  readonly deleted: number;
  readonly scans: number;
}

/** Only of tables that belong to nobody else. */
async function readRoles(
  { session }: AnalysisContext,
  tables: readonly WholeTable[],
): Promise<Map<number, Role>> {
  const oids = tables.flatMap(({ members }) => members.map(({ oid }) => String(oid)));
  const rows = await readCatalog<Role>(
    session,
    sql`SELECT c.oid AS oid,
               (c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid))
               OR (c.relname ~ '^template_' AND EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE x.extname = 'pg_partman')) AS "isTemplate",
               EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class f ON f.oid = h.inhrelid AND f.relkind = 'f'
                        WHERE h.inhparent = c.oid) AS "isElsewhere",
               pg_catalog.pg_stat_get_tuples_inserted(c.oid)::float8 AS inserted,
               pg_catalog.pg_stat_get_tuples_deleted(c.oid)::float8 AS deleted,
               (pg_catalog.pg_stat_get_numscans(c.oid) + coalesce(
                 (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid), 0))::float8 AS scans
          FROM pg_catalog.pg_class c
         WHERE c.oid = ANY (${oids}::oid[]) AND ${notOfExtension} ORDER BY c.oid`,
  );
  return new Map(rows.map((row) => [row.oid, row]));
}

/** A partitioned table is used where its partitions are. */
function roleOf({ root, members }: WholeTable, roles: ReadonlyMap<number, Role>): Role | null {
  const own = roles.get(root.oid);
  if (!own) return null;
  const all = members.flatMap((member) => roles.get(member.oid) ?? []);
  const sum = (of: (role: Role) => number) => all.reduce((total, role) => total + of(role), 0);
  return {
    ...own,
    isElsewhere: all.some((role) => role.isElsewhere),
    inserted: sum((role) => role.inserted),
    deleted: sum((role) => role.deleted),
    scans: sum((role) => role.scans),
  };
}

/** Rows come and go: it is empty between two of them. */
const isQueue = ({ inserted, deleted }: Role) => inserted > 0 && deleted > 0;

/** By its size, or by looking for a row; a table that is locked or may not be read is in doubt. */
async function isEmpty({ root, leaves }: WholeTable, context: AnalysisContext): Promise<boolean> {
  for (const leaf of leaves) {
    if (leaf.pages.count === 0 && !leaf.locked) continue;
    const answer = leaf.locked
      ? { notRead: 'Another session holds a lock on it; we do not queue behind it.' }
      : // A sample of all pages counts as no scan: our looking must not make the table look used.
        await context.rows.sample<{ found: boolean }>(
          sql`SELECT EXISTS (SELECT FROM ONLY ${ident(leaf.schema, leaf.name)} TABLESAMPLE system (100)) AS found`,
        );
    if (isNotRead(answer)) {
      context.unsure({ schema: root.schema, table: root.name, index: null }, answer.notRead);
      return false;
    }
    if (answer.found) return false;
  }
  return true;
}

function faultOf(
  { root, leaves }: WholeTable,
  role: Role,
  isKnown: boolean,
  context: AnalysisContext,
): FoundFault {
  const { schema, name, totalBytes } = root;
  const isPartitioned = root.kind === 'PARTITIONED';
  return {
    kind: 'EMPTY_TABLE',
    severity: 'INFO',
    schema,
    table: name,
    index: null,
    columns: [],
    title: `${schema}.${name} has no rows${isPartitioned ? `, in none of its ${leaves.length} partitions` : ''}${totalBytes > 0 ? ` (${bytesInWords(totalBytes)})` : ''}`,
    detail: [
      usage(role, context),
      ...(isPartitioned
        ? ['Empty partitions for times to come are normal; here no partition holds a row.']
        : []),
      ...(isKnown
        ? []
        : [`It may be new: our first look at the database is less than ${NEW_DAYS} days old.`]),
      `If no release is about to use it: DROP TABLE ${toText(ident(schema, name))} (without CASCADE it fails while a view or a foreign key needs it).`,
    ].join(' '),
    wastedBytes: totalBytes,
    rows: 0,
    evidence: {
      inserted: role.inserted,
      deleted: role.deleted,
      scans: role.scans,
      partitions: isPartitioned ? leaves.length : null,
      totalBytes,
    },
    remedy: null,
  };
}

const usage = ({ inserted, scans }: Role, context: AnalysisContext) => {
  const period = countedPeriod(context);
  if (inserted > 0) return `${inserted} rows were inserted ${period}, and are gone, by TRUNCATE it seems.`;
  return scans > 0
    ? `No row was inserted ${period}, but it was read ${scans} times: something looks for rows in it.`
    : `Nothing was inserted into it or read from it ${period}.`;
};
