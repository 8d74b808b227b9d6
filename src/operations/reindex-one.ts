import type { IndexIdentity } from '../domain/plan.ts';
import { dropInvalidIndex } from '../target/drop-invalid-index.ts';
import { type IndexState, readIndex } from '../target/index-state.ts';
import { BRIEFLY_MS, readBuildProgress, readLeftovers, reindexSql } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { Statement } from './define-operation.ts';
import { sized } from './sized.ts';

/**
 * Builds an index anew beside the old one. amcheck: the schema of that extension, which then looks at it; null: it does not.
 */
export function reindexOne(session: Session, index: IndexIdentity, amcheck: string | null = null): Statement {
  let before: IndexState | null = null;
  return {
    description: `Rebuild ${index.schema}.${index.name}`,
    sql: toText(reindexSql(index)),
    progress: (monitor) => readBuildProgress(monitor, session.backend.pid),
    cleanUp: async () => {
      before = await readIndex(session, index.schema, index.name);
      return before === null ? [] : dropLeftovers(session, before);
    },
    verify: async () => (await problemOf(session, index)) ?? (await damageOf(session, index, amcheck)),
    outcome: async () => {
      const after = await readIndex(session, index.schema, index.name);
      const checked = amcheck === null ? '' : ', and amcheck has found nothing wrong with it';
      return `${index.schema}.${index.name} has ${sized(after?.sizeBytes ?? 0)}, and had ${sized(before?.sizeBytes ?? 0)}${checked}.`;
    },
  };
}

/** A REINDEX CONCURRENTLY that is cancelled leaves an invalid <name>_ccnew, the next one <name>_ccnew1, or _ccold when it was nearly done. */
async function dropLeftovers(session: Session, { name, tableOid }: IndexState): Promise<string[]> {
  const dropped: string[] = [];
  for (const leftover of await readLeftovers(session, tableOid, [name])) {
    if (await dropInvalidIndex(session, leftover, BRIEFLY_MS))
      dropped.push(`${leftover.schema}.${leftover.name}`);
  }
  return dropped;
}

async function problemOf(session: Session, { schema, name }: IndexIdentity): Promise<string | null> {
  const index = await readIndex(session, schema, name);
  if (index === null) return `The index ${schema}.${name} is gone.`;
  return index.isValid ? null : `The index ${schema}.${name} is not valid.`;
}

/** amcheck: the schema of the extension; it reads the index and looks for every row of the table in it. B-trees only. */
async function damageOf(
  session: Session,
  { schema, name }: IndexIdentity,
  amcheck: string | null,
): Promise<string | null> {
  if (amcheck === null) return null;
  try {
    await session.transaction(async () => {
      await session.longRead();
      await session.query(sql`
        SELECT ${ident(amcheck)}.bt_index_check(c.oid, true)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am m ON m.oid = c.relam
         WHERE m.amname = 'btree' AND c.oid = ${toText(ident(schema, name))}::pg_catalog.regclass`);
    });
    return null;
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'CORRUPTION') throw error;
    return `amcheck finds ${schema}.${name} damaged: look at the table and the server before anything else.`;
  }
}
