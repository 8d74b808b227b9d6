import { setTimeout as rest } from 'node:timers/promises';
import type { RepackBy } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import { laneName } from '../target/ledger.ts';
import { readFreeDisk } from '../target/disk-free.ts';
import { findRepackClient, keepsPassword, repackArguments, runRepack } from '../target/repack-client.ts';
import { repackHazards } from '../target/repack-hazards.ts';
import { endHelpers, readRepackState, removeRepackLeftovers } from '../target/repack-leftovers.ts';
import { serverRepackSql } from '../target/reorganization-sql.ts';
import type { Session, TargetAddress } from '../target/session.ts';
import { ident, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { holdersInWords, readTableUsers } from '../target/waits.ts';
import type { Statement } from './define-operation.ts';
import { brokenBy, readTableState, type TableState } from './intact-table.ts';
import { readRepackProgress, waitsTooLong } from './repack-progress.ts';
import { type RepackTrouble, RepackWords } from './repack-words.ts';
import { sized } from './sized.ts';

interface Subject {
  readonly session: Session;
  readonly runId: string;
  readonly relation: Relation;
}

/** A copy beside the table, kept up to date, that takes its place under a short lock. */
export function repackTable(subject: Subject, by: RepackBy, diskNeededBytes: number | null): Statement {
  const { session, runId, relation } = subject;
  let before: TableState | null = null;
  const way = by.tool === 'SERVER' ? byServer(subject) : byProgram(subject, by.version);
  return {
    ...way,
    description: `Write ${relation.schema}.${relation.name} anew beside the old one, and take its place`,
    cleanUp: async () => {
      const removed = await clearLeftovers(session, runId, relation);
      before = await readTableState(session, relation.oid);
      return removed;
    },
    perform: async (signal) => {
      await refuseHazards(session, relation, by, diskNeededBytes);
      await way.perform(signal);
    },
    verify: async () => before && brokenBy(before, await readTableState(session, relation.oid)),
  };
}

/** What the plan has looked at may have changed since, also between two turns of a run. @throws Stop */
async function refuseHazards(
  session: Session,
  relation: Relation,
  { tool }: RepackBy,
  diskNeededBytes: number | null,
): Promise<void> {
  const [hazard] = await session.transaction(() => repackHazards(session, relation, tool === 'SERVER'));
  if (hazard !== undefined)
    throw new Stop('SCHEMA_DRIFT', `${hazard.message} ${hazard.hint ?? ''} Then resume; or cancel the run.`);
  const free = diskNeededBytes === null ? null : await readFreeDisk(session, relation.oid);
  if (free !== null && free < (diskNeededBytes ?? 0))
    throw new Stop(
      'RESOURCE',
      `The copy needs ${sized(diskNeededBytes ?? 0)} on the disk of ${relation.schema}.${relation.name}, and ${sized(free)} are free. Make room, then resume; or cancel the run.`,
    );
}

type Way = Pick<Statement, 'sql' | 'progress' | 'helpers'> & Required<Pick<Statement, 'perform'>>;

function byServer({ session, relation }: Subject): Way {
  const statement = serverRepackSql(relation);
  return {
    sql: statement,
    perform: () => session.bare(statement, { lockTimeoutMs: 0, statementTimeoutMs: 0 }),
  };
}

/** How long pg_repack tries to get a lock before it gives up and tidies up; each try takes a second at most. */
const WAIT_SECONDS = 6;

/** Of pg_repack's sessions; like a lane's: whoever takes the run over ends them. */
const helpersOf = (runId: string): string => `${laneName(runId, '')}/repack`;

function byProgram({ session, runId, relation }: Subject, version: string): Way {
  const call = {
    table: toText(ident(relation.schema, relation.name)),
    name: helpersOf(runId),
    waitSeconds: WAIT_SECONDS,
  };
  return {
    sql: ['pg_repack', ...repackArguments(call)].join(' '),
    perform: async (signal) => {
      const program = await requireClient(version, session.address);
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
    helpers: call.name,
    progress: (monitor) => readRepackProgress(monitor, relation, call.name),
  };
}

const cancelled = () => new TargetError('CANCELLED', null, 'pg_repack was interrupted.', null);

async function requireClient(version: string, address: TargetAddress): Promise<string> {
  const program = await findRepackClient(version);
  if (program === null)
    throw new Stop(
      'CLIENT_MISSING',
      `This worker's machine has no pg_repack ${version}, which the extension in the database needs. Install it there, then resume; or cancel and plan again.`,
    );
  if (await keepsPassword(program, address)) return program;
  throw new Stop(
    'CLIENT_MISSING',
    `The pg_repack ${version} of this worker's machine uses a libpq before 16, which tells its password to whoever answers at the address. Install libpq 16 or later there, or updateDatabase with tls VERIFY_FULL; then resume.`,
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
const LOOK_MS = 250;

/**
 * What a pg_repack that was killed has left at the table. The program itself may have outlived its worker: its sessions are ended,
 * by their name, for as long as it opens any. While another one works there, or somebody uses the table for long, nothing can go.
 */
export async function clearLeftovers(
  session: Session,
  runId: string,
  relation: Relation,
): Promise<readonly string[]> {
  await untilAlone(session, runId, relation);
  const { leftovers } = await session.transaction(() => readRepackState(session, relation.oid));
  for (let tries = 1; leftovers.length > 0; tries++) {
    try {
      await removeRepackLeftovers(session, relation);
      return leftovers;
    } catch (error) {
      if (tries === TRIES || !(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    }
    await rest(LOOK_MS);
  }
  return [];
}

async function untilAlone(session: Session, runId: string, { oid, schema, name }: Relation): Promise<void> {
  for (let tries = 1; ; tries++) {
    const ended = await endHelpers(session, helpersOf(runId));
    const { workers } = await session.transaction(() => readRepackState(session, oid));
    if (ended.length === 0 && workers.length === 0) return;
    if (tries === TRIES)
      throw new Stop(
        'LOCKED',
        `Another pg_repack works on ${schema}.${name} (pid ${[...workers, ...ended].join(', ')}). Resume when it has ended.`,
      );
    await rest(LOOK_MS);
  }
}
