import type { IndexIdentity } from '../domain/plan.ts';
import { dropInvalidIndex } from '../target/drop-invalid-index.ts';
import { type IndexState, readIndex } from '../target/index-state.ts';
import { BRIEFLY_MS, readBuildProgress, readLeftovers, reindexSql } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { toText } from '../target/sql.ts';
import type { Statement } from './define-operation.ts';
import { sized } from './sized.ts';

/** Builds an index anew beside the old one. */
export function reindexOne(session: Session, index: IndexIdentity): Statement {
  let before: IndexState | null = null;
  return {
    description: `Rebuild ${index.schema}.${index.name}`,
    sql: toText(reindexSql(index)),
    progress: (monitor) => readBuildProgress(monitor, session.backend.pid),
    cleanUp: async () => {
      before = await readIndex(session, index.schema, index.name);
      return before === null ? [] : dropLeftovers(session, before);
    },
    verify: () => problemOf(session, index),
    outcome: async () => {
      const after = await readIndex(session, index.schema, index.name);
      return `${index.schema}.${index.name} has ${sized(after?.sizeBytes ?? 0)}, and had ${sized(before?.sizeBytes ?? 0)}.`;
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
