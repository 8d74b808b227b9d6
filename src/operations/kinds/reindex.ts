import type { IndexIdentity, OperationSpec } from '../../domain/plan.ts';
import type { Session } from '../../target/session.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';

type Reindex = Extract<OperationSpec, { kind: 'REINDEX' }>;

/** Builds indexes anew beside the old ones, one after the other, while everybody reads and writes. */
export const reindex = {
  kind: 'REINDEX',
  counts: null,
  open({ session, spec, cursor }: OperationContext<Reindex>): Promise<StatementWork> {
    const done = (cursor as number | null) ?? 0;
    return Promise.resolve({
      mode: 'STATEMENTS',
      statements: spec.indexes.slice(done).map((index) => reindexOne(session, index)),
    });
  },
} satisfies Operation<Reindex>;

const reindexOne = (session: Session, index: IndexIdentity): Statement => ({
  description: `Rebuild ${index.schema}.${index.name}`,
  sql: toText(sql`REINDEX INDEX CONCURRENTLY ${ident(index.schema, index.name)}`),
  cleanUp: () => dropLeftovers(session, index),
  verify: () => problemOf(session, index),
});

/** A cancelled REINDEX CONCURRENTLY leaves an invalid <name>_ccnew (and the next one <name>_ccnew1) or _ccold behind. */
async function dropLeftovers(session: Session, index: IndexIdentity): Promise<void> {
  const leftovers = await session.transaction(() =>
    session.query<{ schema: string; name: string }>(sql`
      SELECT n.nspname AS schema, c.relname AS name
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
       WHERE NOT i.indisvalid
         AND n.nspname = ${index.schema}
         AND pg_catalog.starts_with(c.relname::pg_catalog.text, pg_catalog.left(${index.name}, 63 - 7) || '_cc')
         AND c.relname::pg_catalog.text OPERATOR(pg_catalog.~) '_cc(new|old)[0-9]*$'
         AND i.indrelid = (SELECT own.indrelid FROM pg_catalog.pg_index AS own
                            WHERE own.indexrelid = ${toText(ident(index.schema, index.name))}::pg_catalog.regclass)
       ORDER BY 1, 2`),
  );
  for (const { schema, name } of leftovers) {
    await session.bare(toText(sql`DROP INDEX CONCURRENTLY IF EXISTS ${ident(schema, name)}`), {
      lockTimeoutMs: 5_000,
      statementTimeoutMs: 0,
    });
  }
}

async function problemOf(session: Session, index: IndexIdentity): Promise<string | null> {
  const [row] = await session.transaction(() =>
    session.query<{ valid: boolean }>(sql`
      SELECT indisvalid AND indisready AS valid FROM pg_catalog.pg_index
       WHERE indexrelid = pg_catalog.to_regclass(${toText(ident(index.schema, index.name))})`),
  );
  if (!row) return `The index ${index.schema}.${index.name} is gone.`;
  return row.valid ? null : `The index ${index.schema}.${index.name} is not valid.`;
}
