import type { RemovedIndex } from '../domain/index-spec.ts';
import { Stop } from '../domain/stop.ts';
import { type IndexState, readIndex } from '../target/index-state.ts';
import {
  BUILD_SETTINGS,
  commentSql,
  concurrently,
  dropIndexSql,
  PATIENTLY_MS,
  reindexSql,
} from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

const LIMITS = { lockTimeoutMs: PATIENTLY_MS, statementTimeoutMs: 0 };

/** Makes an index what it was before its drop was begun. left: what there is of it. @throws Stop saying what there is, and what to do */
export async function buildAgain(
  session: Session,
  index: RemovedIndex,
  left: IndexState | null,
  runId: string,
): Promise<void> {
  const live = left?.isLive === true ? left : null;
  try {
    // While it is live PostgreSQL keeps it up to date, or would; otherwise the drop has to be finished first.
    if (live !== null) await session.bare(toText(reindexSql(live)), LIMITS);
    else await buildAnew(session, index, left);
    if (index.comment !== null && live?.comment == null)
      await session.bare(toText(commentSql(index, index.comment)), LIMITS);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure === 'CONNECTION') throw error;
    const now = await readIndex(session, index.schema, index.name);
    throw new Stop(
      error.failure === 'LOCKED' ? 'LOCKED' : 'UNEXPECTED',
      `${inWords(index, now, error)} ${advice(now, runId)}`,
      'FAILED',
      { cause: error },
    );
  }
  await check(session, live ?? index);
}

async function check(
  session: Session,
  { schema, name, definition }: Pick<IndexState, 'schema' | 'name' | 'definition'>,
): Promise<void> {
  const now = await readIndex(session, schema, name);
  if (now?.isValid !== true || now.definition !== definition)
    throw new Stop(
      'UNEXPECTED',
      `The index ${schema}.${name} was built again, and is not what it was: ${definition}`,
      'FAILED',
    );
}

async function buildAnew(session: Session, index: RemovedIndex, left: IndexState | null): Promise<void> {
  if (left !== null) await session.bare(toText(dropIndexSql(left)), LIMITS);
  for (const setting of BUILD_SETTINGS) await session.script(setting);
  await session.bare(concurrently(index.definition), LIMITS);
}

function inWords({ schema, name }: RemovedIndex, now: IndexState | null, error: TargetError): string {
  const state = now === null ? 'gone' : now.isLive ? (now.isValid ? 'built' : 'not valid') : 'half dropped';
  const why =
    error.failure === 'LOCKED'
      ? 'a transaction keeps it from being built again. First that has to end.'
      : `it could not be built again. ${error.message}`;
  return `The index ${schema}.${name} is ${state}, since its drop had begun, and ${why}`;
}

function advice(now: IndexState | null, runId: string): string {
  const restore = `planRestore(input: { runId: "${runId}" }) builds it again`;
  if (now === null) return `${restore}.`;
  if (!now.isLive) return `planIndexRemoval drops what is left of it, and ${restore}.`;
  return now.isValid ? 'Its comment is missing.' : 'planReindex makes it valid.';
}
