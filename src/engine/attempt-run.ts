import type { Operation, OperationContext } from '../operations/define-operation.ts';
import type { SegmentSink } from '../archive/segment-sink.ts';
import type { SourceArchive } from '../archive/source-archive.ts';
import { destinationOf, type PlanSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { endOldBackend, Fenced, laneName, type LedgerPosition, takeFence } from '../target/ledger.ts';
import { ensureLedger } from '../target/ledger-tables.ts';
import { BATCH_SETTINGS, READ_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { failpoint } from '../failpoint.ts';
import { DeclutterError } from '../errors.ts';
import { readIdentity, sameIdentity } from '../target/identity.ts';
import { TurnBroken } from './batch.ts';
import { CANCELLED, type Ending, EndingWanted } from './endings.ts';
import type { EngineDeps, Turn } from './execute-run.ts';
import { HealthWatch } from './health-watch.ts';
import { performBatches } from './perform-batches.ts';
import { performStatements } from './perform-statements.ts';
import { stopFor } from './retry.ts';
import { RunArchive } from './run-archive.ts';
import { RunProgress } from './run-progress.ts';
import { measure, resultOf } from './run-result.ts';
import { openSource } from './open-source.ts';

/** One connection's worth of a run: take the fence, take up the archive, go on from the cursor. */
export async function attemptRun(deps: EngineDeps, turn: Turn): Promise<Ending> {
  const { claim } = turn;
  const name = `declutter/${claim.runId}`;
  const session = await connect(deps, turn, { ...BATCH_SETTINGS, applicationName: name });
  try {
    const monitor = await connect(deps, turn, {
      ...READ_SETTINGS,
      applicationName: `${name}/watch`,
    });
    try {
      return await withSessions(deps, turn, session, monitor);
    } finally {
      await monitor.close();
    }
  } finally {
    // A session that hangs must not hold the turn: the server rolls back what is open.
    session.destroy();
  }
}

/** What a registration forbids (another server answers, a host or a password reference no longer allowed) is no crash. */
async function connect(deps: EngineDeps, { claim }: Turn, settings: SessionSettings): Promise<Session> {
  try {
    return await deps.connect(claim.databaseId, settings);
  } catch (error) {
    if (!(error instanceof DeclutterError) || error instanceof TargetError) throw error;
    if (error.code === 'PRECONDITION_FAILED')
      throw new Stop('IDENTITY_CHANGED', error.message, 'FAILED', { cause: error });
    throw new Stop('UNREACHABLE', error.message, 'PAUSED', { cause: error });
  }
}

async function withSessions(
  deps: EngineDeps,
  turn: Turn,
  session: Session,
  monitor: Session,
): Promise<Ending> {
  const { claim, plan } = turn;
  const relation = await subjectOf(session, turn);
  await ensureLedger(session);
  await endLastStatement(session, turn);
  const position = await takeFence(session, claim.runId, plan.hash, claim.workerId);
  failpoint('takeover.fenced');
  const archive = await RunArchive.open({ deps, turn, session, relation, fence: position.fence });
  try {
    const ending = await perform(deps, turn, { session, monitor, relation, position, archive });
    await finishArchive(archive);
    return ending;
  } finally {
    await archive?.close();
  }
}

async function finishArchive(archive: RunArchive | null): Promise<void> {
  try {
    await archive?.finish();
  } catch (error) {
    throw error instanceof Fenced ? error : new TurnBroken(error);
  }
}

/** A statement outside a transaction holds no lock on the ledger: without this it would go on beside its successor. */
async function endLastStatement(session: Session, { plan, claim }: Turn): Promise<void> {
  const { kind } = plan.spec.operation;
  if (kind === 'REINDEX' || kind === 'REORGANIZATION') {
    await session.transaction(() => endOldBackend(session, claim.runId));
  }
}

/** The subject as it is now. A run that is only being made safe needs the ledger and the archive, not the table. */
async function subjectOf(session: Session, { plan, claim }: Turn): Promise<Relation | null> {
  return session.transaction(async () => {
    if (!sameIdentity(await readIdentity(session), plan.spec.identity)) {
      throw new Stop(
        'IDENTITY_CHANGED',
        'Another database answers at this address than the one the plan was made for.',
        'FAILED',
      );
    }
    const subject = plan.spec.relations[0];
    if (!subject) return null;
    const relation = await readRelationByOid(session, subject.oid);
    if (claim.state === 'CANCELLING') return relation;
    if (!relation || relation.schema !== subject.schema || relation.name !== subject.name) {
      throw new Stop(
        'SCHEMA_DRIFT',
        `The table ${subject.schema}.${subject.name} was dropped, renamed or made anew. Cancel and plan again.`,
      );
    }
    return relation;
  });
}

interface Parts {
  readonly session: Session;
  readonly monitor: Session;
  readonly relation: Relation | null;
  readonly position: LedgerPosition;
  readonly archive: RunArchive | null;
}

async function perform(deps: EngineDeps, turn: Turn, parts: Parts): Promise<Ending> {
  const { claim, plan, lease, stopping } = turn;
  if (claim.state === 'CANCELLING') return CANCELLED;
  const operation = deps.operations.get(plan.spec.operation.kind);
  if (!operation)
    throw new Stop('UNEXPECTED', `This worker does not know ${plan.spec.operation.kind}. Run a newer one.`);
  const { position, session, monitor } = parts;
  const progress = new RunProgress(deps, claim, countedBy(operation, plan.spec), {
    rows: position.totalRows,
    included: position.totalIncluded,
    batches: position.number,
  });
  const before = await measure(session, parts.relation);
  const run = {
    ...parts,
    runId: claim.runId,
    plan: plan.spec,
    lease,
    progress,
    clock: deps.clock,
    stopping,
    begunAt: deps.clock.monotonicMs(),
  };
  let remark: () => string | null = () => null;
  const ending = await endingOf(async () => {
    const source = await openSource(deps, plan.spec, run);
    const work = await operation.open(contextOf(turn, parts, source));
    if (work.mode === 'BATCHES' && work.remark) remark = work.remark.bind(work);
    return work.mode === 'STATEMENTS'
      ? performStatements(work, position, { ...run, store: deps.store })
      : withLanes(deps, turn, (openLane, lanes) =>
          withHealth(deps, { monitor, workers: () => [session, ...lanes] }, turn, (health) =>
            performBatches(work, position, { ...run, health, archive: parts.archive, openLane }),
          ),
        );
  });
  const done = { plan: plan.spec, operation, rows: progress.rowsDone };
  const result = await resultOf(session, parts.relation, before, done);
  const said = remark();
  progress.setResult(said === null ? result : { ...result, nextStep: said });
  await progress.flush();
  return ending;
}

/** Rows that no archive takes are deleted, also by a kind that can keep them. */
const countedBy = ({ counts }: Operation, { operation }: PlanSpec): Operation['counts'] =>
  counts === 'rowsArchived' && destinationOf(operation) === null ? 'rowsDeleted' : counts;

/** A run that stops by itself ends its turn in order, like one that was asked to: what is archived gets sealed and listed. */
async function endingOf(work: () => Promise<Ending>): Promise<Ending> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EndingWanted) return error.ending;
    const stop = stopFor(error);
    if (!(stop instanceof Stop)) throw error;
    return { state: stop.outcome, code: stop.stateCode, reason: stop.message };
  }
}

/** Sessions for batches, opened when they are wanted and dropped at the end of the turn. */
async function withLanes(
  deps: EngineDeps,
  turn: Turn,
  work: (openLane: (lane: number) => Promise<Session>, lanes: readonly Session[]) => Promise<Ending>,
): Promise<Ending> {
  const sessions: Session[] = [];
  try {
    return await work(async (lane) => {
      const applicationName = laneName(turn.claim.runId, lane);
      const session = await connect(deps, turn, { ...BATCH_SETTINGS, applicationName });
      sessions.push(session);
      return session;
    }, sessions);
  } finally {
    for (const session of sessions) session.destroy();
  }
}

async function withHealth(
  deps: EngineDeps,
  sessions: { monitor: Session; workers: () => readonly Session[] },
  { lease, plan }: Turn,
  work: (health: HealthWatch) => Promise<Ending>,
): Promise<Ending> {
  const tables = plan.spec.relations.map(({ oid }) => oid);
  const throttle = () => lease.latest.throttle;
  const health = new HealthWatch(deps.healthChecks, sessions, deps.clock, throttle, tables);
  await health.start();
  try {
    return await work(health);
  } finally {
    await health.stop();
  }
}

function contextOf({ plan, claim }: Turn, parts: Parts, source: SourceArchive | null): OperationContext {
  return {
    runId: claim.runId,
    plan: plan.spec,
    spec: plan.spec.operation,
    relation: parts.relation as Relation,
    session: parts.session,
    cursor: parts.position.cursor as OperationContext['cursor'],
    sink: parts.archive?.sink ?? NO_SINK,
    source,
    holder: parts.archive?.holder ?? null,
  };
}

const NO_SINK: SegmentSink = {
  append: () => Promise.reject(new TypeError('This operation archives nothing')),
};
