import type { IndexIdentity } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { readIndex } from '../target/index-state.ts';
import type { Session } from '../target/session.ts';
import { ident, literal, sql, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { Statement } from './define-operation.ts';

/** It waits for whoever changes the index or the table. */
const LOCK_MS = 2_000;

/**
 * Has amcheck read an index, and look for every row of the table in it. It may take long, and whoever wants to change the table
 * waits for it: a statement of its own, that gives way. B-trees only; amcheck: the schema of the extension.
 */
export function checkIndex(session: Session, { schema, name }: IndexIdentity, amcheck: string): Statement {
  const statement = toText(
    sql`SELECT ${ident(amcheck)}.bt_index_check(${literal(toText(ident(schema, name)))}::pg_catalog.regclass, true)`,
  );
  return {
    description: `Look for every row of the table in ${schema}.${name}`,
    sql: statement,
    isDone: async () => (await readIndex(session, schema, name))?.method !== 'btree',
    perform: async () => {
      try {
        await session.bare(statement, { lockTimeoutMs: LOCK_MS, statementTimeoutMs: 0 });
      } catch (error) {
        if (!(error instanceof TargetError) || error.failure !== 'CORRUPTION') throw error;
        throw new Stop(
          'UNEXPECTED',
          `amcheck finds ${schema}.${name} damaged: look at the table and the server before anything else.`,
          'FAILED',
          { cause: error },
        );
      }
    },
    cleanUp: () => Promise.resolve([]),
    verify: () => Promise.resolve(null),
    outcome: () => Promise.resolve(`amcheck has found nothing wrong with ${schema}.${name}.`),
  };
}
