import { setTimeout as rest } from 'node:timers/promises';
import type { RepackBy } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import { laneName } from '../target/ledger.ts';
import { findRepackClient, repackArguments, runRepack } from '../target/repack-client.ts';
import { readRepackState, removeRepackLeftovers } from '../target/repack-leftovers.ts';
import { serverRepackSql } from '../target/reorganization-sql.ts';
import type { Session } from '../target/session.ts';
import { ident, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { holdersInWords, readTableUsers } from '../target/waits.ts';
import type { Statement } from './define-operation.ts';
import { brokenBy, readTableState, type TableState } from './intact-table.ts';
import { readRepackProgress, waitsTooLong } from './repack-progress.ts';
import { type RepackTrouble, RepackWords } from './repack-words.ts';

interface Subject {
  readonly session: Session;
  readonly runId: string;
  readonly relation: Relation;
}

/** A copy beside the table, kept up to date, that takes its place under a short lock. */
export function repackTable(subject: Subject, by: RepackBy): Statement {
  const { session, relation } = subject;
  let before: TableState | null = null;
  const common = {
    description: `Write ${relation.schema}.${relation.name} anew beside the old one, and take its place`,
    cleanUp: async () => {
      const removed = await clearLeftovers(session, relation);
      before = await readTableState(session, relation.oid);
      return removed;
    },
    verify: async () => before && brokenBy(before, await readTableState(session, relation.oid)),
  };
  return by.tool === 'SERVER'
    ? { ...common, sql: serverRepackSql(relation) }
    : { ...common, ...byProgram(subject, by.version) };
}

/** How long pg_repack tries to get a lock before it gives up and tidies up; each try takes a second at most. */
const WAIT_SECONDS = 6;

function byProgram(
  { session, runId, relation }: Subject,
  version: string,
): Pick<Statement, 'sql' | 'perform' | 'progress'> {
  const call = {
    table: toText(ident(relation.schema, relation.name)),
    // like a lane's: whoever takes the run over ends these sessions
    name: `${laneName(runId, '')}/repack`,
    waitSeconds: WAIT_SECONDS,
  };
  return {
    sql: ['pg_repack', ...repackArguments(call)].join(' '),
    perform: async (signal) => {
      const program = await requireClient(version);
      const { file } = await readTableState(session, relation.oid);
      const words = new RepackWords();
      const tooLong = waitsTooLong(session, words);
      const stop = AbortSignal.any([signal, tooLong.signal]);
      const { code } = await runRepack(session.address, { ...call, program }, stop, (line) =>
        words.hear(line),
      ).finally(() => tooLong.leave());
      if (signal.aborted) throw cancelled();
      const waited = tooLong.reason();
      if (waited !== null) throw new Stop('LOCKED', waited);
      const done = await readTableState(session, relation.oid);
      if (done.file === file || code !== 0) throw await stopOf(session, relation, words.trouble);
    },
    progress: (monitor) => readRepackProgress(monitor, relation, call.name),
  };
}

const cancelled = () => new TargetError('CANCELLED', null, 'pg_repack was interrupted.', null);

async function requireClient(version: string): Promise<string> {
  const program = await findRepackClient(version);
  if (program !== null) return program;
  throw new Stop(
    'CLIENT_MISSING',
    `This worker's machine has no pg_repack ${version}, which the extension in the database needs. Install it there, then resume; or cancel and plan again.`,
  );
}

const REASONS = {
  RIGHTS: 'The server refuses pg_repack a right. Make the plan again: it names what is missing.',
  RESOURCE: 'The database ran out of disk, memory or connections. Make room, then resume.',
};

/** What its end means for the run, where the table was not written anew. */
async function stopOf(session: Session, relation: Relation, trouble: RepackTrouble | null): Promise<Error> {
  const name = `${relation.schema}.${relation.name}`;
  if (trouble === 'CONNECTION')
    return new TargetError('CONNECTION', null, 'pg_repack has lost its connection.', null);
  if (trouble === 'LOCKED') {
    const users = holdersInWords(await readTableUsers(session, relation.oid));
    return new Stop(
      'LOCKED',
      `pg_repack could not get its lock on ${name} in ${WAIT_SECONDS} s: ${users} uses the table. Resume when that has ended.`,
    );
  }
  if (trouble !== null) return new Stop(trouble, REASONS[trouble]);
  return new Stop(
    'UNEXPECTED',
    `pg_repack has given up on ${name}; the table is as it was. The server's log says why.`,
    'FAILED',
  );
}

const TRIES = 20;

/**
 * What a pg_repack that was killed has left at the table. While another one works there, or somebody uses the table for
 * long, it cannot go.
 */
export async function clearLeftovers(session: Session, relation: Relation): Promise<readonly string[]> {
  for (let tries = 1; ; tries++) {
    const { leftovers, workers } = await session.transaction(() => readRepackState(session, relation.oid));
    if (workers.length > 0 && tries === TRIES)
      throw new Stop(
        'LOCKED',
        `Another pg_repack works on ${relation.schema}.${relation.name} (pid ${workers.join(', ')}). Resume when it has ended.`,
      );
    if (workers.length === 0 && leftovers.length === 0) return [];
    try {
      if (workers.length === 0) {
        await removeRepackLeftovers(session, relation);
        return leftovers;
      }
    } catch (error) {
      if (tries === TRIES || !(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    }
    await rest(250);
  }
}
