import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, quoteIdent, sql, type Sql, toText } from '../../target/sql.ts';
import { readCatalog, userSchemas } from '../catalog-query.ts';
import { defineAnalysis } from '../define-analysis.ts';
import { notOfExtension } from '../extension-tables.ts';

/** Tables whose rows have no name: what replication, foreign keys and every tool that treats rows one by one need. */
export const noPrimaryKey = defineAnalysis({
  kind: 'NO_PRIMARY_KEY',
  docs: 'docs/analyses/no-primary-key.md',
  find: async ({ session, figures }) => {
    const rows = await readCatalog<Keyless>(session, keylessQuery(session.serverVersion));
    const tables = new Map(figures.tables.map((table) => [table.oid, table]));
    return rows.map((row) => faultOf(row, tables.get(row.oid)?.liveRows ?? null));
  },
});

interface Keyless {
  oid: number;
  schema: string;
  name: string;
  partitioned: boolean;
  /** changes of rows are published, and nothing tells a subscriber which rows they were */
  refused: boolean;
  /** the unique index that comes closest to a key */
  nearest: UniqueIndex | null;
}

interface UniqueIndex {
  readonly name: string;
  readonly columns: readonly string[];
  /** of these, the ones that may be NULL */
  readonly nullable: readonly string[];
  /** the unique constraint's own name, when it is one's index */
  readonly constraint: string | null;
  /** ADD PRIMARY KEY USING INDEX takes it once no column may be NULL */
  readonly usable: boolean;
  readonly replicaIdentity: boolean;
}

/** Partitions are left to their table: a key is declared there. */
const keylessQuery = (version: number) => sql`
  WITH RECURSIVE keyless AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition AND ${userSchemas} AND ${notOfExtension}
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
  ), published AS MATERIALIZED (${publishedTables(version)}),
  part (top, oid, published) AS (
    SELECT k.oid, k.oid, k.oid IN (SELECT oid FROM published) FROM keyless k
    UNION ALL
    SELECT p.top, h.inhrelid, p.published OR h.inhrelid IN (SELECT oid FROM published)
      FROM part p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid
      JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid AND c.relispartition
  ), refused AS MATERIALIZED (
    SELECT p.top FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.oid
     WHERE p.published AND c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident <> 'f'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
                          AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END)
  )
  SELECT k.oid AS oid, k.nspname AS schema, k.relname AS name, k.relkind = 'p' AS partitioned, k.oid IN (SELECT top FROM refused) AS refused,
         (SELECT u.found FROM (${uniqueIndexes(version)}) u ORDER BY u.nullables, u.usable DESC, u.identity DESC, u.width, u.name LIMIT 1) AS nearest
    FROM keyless k ORDER BY k.nspname, k.relname`;

/** What publications send UPDATE or DELETE of. A partitioned table stands for its partitions. */
const publishedTables = (version: number): Sql => sql`
  SELECT r.prrelid AS oid FROM pg_catalog.pg_publication_rel r
    JOIN pg_catalog.pg_publication b ON b.oid = r.prpubid AND (b.pubupdate OR b.pubdelete)
  UNION
  SELECT c.oid FROM pg_catalog.pg_class c
   WHERE c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_publication b WHERE b.puballtables AND (b.pubupdate OR b.pubdelete))
  ${
    version < 150_000
      ? sql``
      : sql`UNION
  SELECT c.oid FROM pg_catalog.pg_publication_namespace s
    JOIN pg_catalog.pg_publication b ON b.oid = s.pnpubid AND (b.pubupdate OR b.pubdelete)
    JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid`
  }`;

/** Of table k, those that hold for all rows at every moment. A NOT NULL that is not validated (PostgreSQL 18) counts for nothing. */
const uniqueIndexes = (version: number) => sql`
  SELECT pg_catalog.json_build_object('name', x.relname, 'columns', a.names, 'nullable', a.nullable, 'constraint', o.conname,
           'usable', o.conname IS NULL AND a.plain AND k.relkind = 'r' AND NOT ${nullsNotDistinct(version)},
           'replicaIdentity', i.indisreplident) AS found,
         pg_catalog.json_array_length(a.nullable) AS nullables, o.conname IS NULL AND a.plain AS usable,
         i.indisreplident AS identity, i.indnkeyatts AS width, x.relname AS name
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_am m ON m.oid = x.relam
    LEFT JOIN pg_catalog.pg_constraint o ON o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype = 'u'
   CROSS JOIN LATERAL (
     SELECT pg_catalog.json_agg(t.attname ORDER BY t.position) AS names,
            coalesce(pg_catalog.json_agg(t.attname ORDER BY t.position) FILTER (WHERE t.may_be_null), '[]') AS nullable,
            pg_catalog.bool_and(i.indoption[t.position - 1] = 0 AND p.opcdefault AND i.indcollation[t.position - 1] = t.attcollation) AS plain
       FROM (SELECT v.position, t.attname, t.attcollation,
                    NOT t.attnotnull OR EXISTS (SELECT FROM pg_catalog.pg_constraint y WHERE y.conrelid = t.attrelid AND y.contype = 'n'
                                                   AND NOT y.convalidated AND t.attnum = ANY (y.conkey)) AS may_be_null
               FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) v (position)
               JOIN pg_catalog.pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[v.position - 1]) t
       JOIN pg_catalog.pg_opclass p ON p.oid = i.indclass[t.position - 1]) a
   WHERE i.indrelid = k.oid AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate AND m.amname = 'btree'
     AND i.indpred IS NULL AND i.indexprs IS NULL`;

const nullsNotDistinct = (version: number) => (version >= 150_000 ? sql`i.indnullsnotdistinct` : sql`false`);

function faultOf(row: Keyless, rows: number | null): FoundFault {
  const { nearest } = row;
  return {
    kind: 'NO_PRIMARY_KEY',
    severity: severityOf(row),
    schema: row.schema,
    table: row.name,
    index: null,
    columns: [],
    title: `${row.schema}.${row.name} has no primary key${row.refused ? ', and its changes are published' : ''}`,
    detail: [
      ...(row.refused ? [refusalInWords(row)] : []),
      nearest ? nearestInWords(row, nearest) : withoutAny(row),
    ].join(' '),
    wastedBytes: null,
    rows,
    evidence: { published: row.refused, partitioned: row.partitioned, nearest },
    remedy: null,
  };
}

const severityOf = ({ refused, nearest }: Keyless): Severity => {
  if (refused) return 'WARNING';
  return nearest?.nullable.length === 0 ? 'INFO' : 'NOTICE';
};

const tableOf = (row: Keyless) => toText(ident(row.schema, row.name));

const refusalInWords = (row: Keyless) =>
  `A publication sends its changes, but nothing tells subscribers which row was meant: UPDATE and DELETE fail on it. ` +
  `Until there is a key, ALTER TABLE ${tableOf(row)} REPLICA IDENTITY FULL lets them through, at the cost of sending and comparing whole rows.`;

function nearestInWords(row: Keyless, index: UniqueIndex): string {
  const columns = index.columns.join(', ');
  if (index.nullable.length > 0)
    return (
      `The unique index ${index.name} (${columns}) would be a key if ${index.nullable.join(', ')} could not be NULL: ` +
      `make it NOT NULL first (a CHECK (... IS NOT NULL) NOT VALID that is then validated saves the long lock), then ${keyFrom(row, index)}`
    );
  const role = index.replicaIdentity
    ? ' It serves as the replica identity, so replication has what it needs.'
    : '';
  return `The unique index ${index.name} (${columns}) allows no NULL: it is a key in all but name.${role} To make it one: ${keyFrom(row, index)}`;
}

/** How a unique index becomes the primary key. */
function keyFrom(row: Keyless, index: UniqueIndex): string {
  const columns = index.columns.map(quoteIdent).join(', ');
  if (index.usable)
    return `ALTER TABLE ${tableOf(row)} ADD PRIMARY KEY USING INDEX ${quoteIdent(index.name)} (an ACCESS EXCLUSIVE lock for a moment; no row is read when the columns are NOT NULL).`;
  if (row.partitioned)
    return `ALTER TABLE ${tableOf(row)} ADD PRIMARY KEY (${columns}). That builds an index on every partition under a lock; give large ones their primary key first, by CREATE UNIQUE INDEX CONCURRENTLY and ADD PRIMARY KEY USING INDEX: it is taken over.`;
  const old =
    index.constraint === null
      ? `drop ${index.name}`
      : `drop the constraint ${index.constraint} once no foreign key refers to it`;
  return `CREATE UNIQUE INDEX CONCURRENTLY on (${columns}) anew, ALTER TABLE ${tableOf(row)} ADD PRIMARY KEY USING INDEX with that one, then ${old}.`;
}

const withoutAny = (row: Keyless) =>
  'No unique index without conditions comes close. Where columns tell rows apart (DUPLICATE_ROWS proposes some): ' +
  (row.partitioned
    ? `ALTER TABLE ${tableOf(row)} ADD PRIMARY KEY (...), which has to contain the columns that it is partitioned by. `
    : `CREATE UNIQUE INDEX CONCURRENTLY, then ALTER TABLE ${tableOf(row)} ADD PRIMARY KEY USING INDEX. `) +
  'Where none do, an identity column does, but adding one writes the whole table anew under an ACCESS EXCLUSIVE lock.';
