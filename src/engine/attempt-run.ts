import type { BatchWork, Operation, OperationContext } from '../operations/define-operation.ts';
import type { DoomedArchive } from '../archive/doomed-archive.ts';
import type { SegmentSink } from '../archive/segment-sink.ts';
import type { SourceArchive } from '../archive/source-archive.ts';
import { heldTables } from '../domain/held-tables.ts';
import { destinationOf, type PlanSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { PlanKind } from '../domain/words.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { endOldBackend, Fenced, type LedgerPosition, takeFence } from '../target/ledger.ts';
import { ensureLedger } from '../target/ledger-tables.ts';
import { BATCH_SETTINGS, READ_SETTINGS, type Session } from '../target/session.ts';
import { failpoint } from '../failpoint.ts';
import { readIdentity, sameIdentity } from '../target/identity.ts';
import { abandonWork, endedBy } from './abandon-work.ts';
import { TurnBroken } from './batch.ts';
import { CANCELLED, type Ending, EndingWanted } from './endings.ts';
import type { EngineDeps, Turn } from './execute-run.ts';
import { performBatches } from './perform-batches.ts';
import { performStatements } from './perform-statements.ts';
import { namingHolder, stopFor } from './retry.ts';
import { RunArchive } from './run-archive.ts';
import { RunProgress } from './run-progress.ts';
import { resultOf } from './run-result.ts';
import { endExpiry, openDoomed } from './open-doomed.ts';
import { openSource } from './open-source.ts';
import { firstLook } from './first-look.ts';
import { connect, withForeground, withHealth, withLanes } from './run-sessions.ts';
import { syncHolds } from './sync-holds.ts';

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
    } catch (error) {
      throw await namingHolder(error, session);
    } finally {
      await monitor.close();
    }
  } finally {
    // A session that hangs must not hold the turn: the server rolls back what is open.
    session.destroy();
  }
}

async function withSessions(
  deps: EngineDeps,
  turn: Turn,
  session: Session,
  monitor: Session,
): Promise<Ending> {
  const { claim, plan } = turn;
  await checkIdentity(session, turn);
  await ensureLedger(session);
  await syncHolds(deps.store, session, claim.databaseId, heldTables(plan.spec));
  // What a dead worker has left running may lock the table that we are about to look at.
  await endLastStatement(session, turn);
  const relation = await subjectOf(session, turn);
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

const BY_STATEMENTS: ReadonlySet<PlanKind> = new Set([
  'REINDEX',
  'REORGANIZATION',
  'INDEX_CREATION',
  'INDEX_REMOVAL',
]);

/** A statement outside a transaction holds no lock on the ledger: without this it would go on beside its successor. */
async function endLastStatement(session: Session, { plan, claim }: Turn): Promise<void> {
  if (BY_STATEMENTS.has(plan.spec.kind)) {
    await session.transaction(() => endOldBackend(session, claim.runId));
  }
}

async function checkIdentity(session: Session, { plan }: Turn): Promise<void> {
  if (sameIdentity(await session.transaction(() => readIdentity(session)), plan.spec.identity)) return;
  throw new Stop(
    'IDENTITY_CHANGED',
    'Another database answers at this address than the one the plan was made for.',
    'FAILED',
  );
}

/** The subject as it is now. A run that is only being made safe needs the ledger and the archive, not the table. */
async function subjectOf(session: Session, { plan, claim }: Turn): Promise<Relation | null> {
  return session.transaction(async () => {
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
  const operation = deps.operations.get(plan.spec.operation.kind);
  if (claim.state === 'CANCELLING') return endedBy(CANCELLED, () => giveUp(operation, turn, parts));
  if (!operation)
    throw new Stop('UNEXPECTED', `This worker does not know ${plan.spec.operation.kind}. Run a newer one.`);
  const { position, session, monitor } = parts;
  const progress = new RunProgress(deps, claim, countedBy(operation, plan.spec), {
    rows: position.totalRows,
    included: position.totalIncluded,
    batches: position.number,
  });
  const kind = plan.spec.kind;
  const before = await firstLook(deps.store, { id: claim.runId, kind }, session, parts.relation);
  const run = {
    ...parts,
    store: deps.store,
    runId: claim.runId,
    plan: plan.spec,
    lease,
    progress,
    clock: deps.clock,
    stopping,
    begunAt: deps.clock.monotonicMs(),
  };
  let remark = (): string | null => null;
  let doomed: DoomedArchive | null = null;
  let figures: NonNullable<BatchWork['figures']> = () => ({});
  const ending = await endingOf(session, async () => {
    const source = await openSource(deps, plan.spec, run);
    doomed = await openDoomed(deps, turn, position);
    const work = await operation.open(contextOf(turn, parts, source, doomed));
    remark = () => work.remark?.() ?? null;
    if (work.mode === 'BATCHES' && work.figures) figures = work.figures.bind(work);
    return work.mode === 'STATEMENTS'
      ? performStatements(work, position, run)
      : withLanes(deps, turn, (openLane, lanes) =>
          withForeground(deps, turn, (foreground) =>
            withHealth(
              deps,
              { monitor, workers: () => [session, ...lanes, ...foreground.sessions] },
              turn,
              (health) => performBatches(work, position, { ...run, health, foreground, openLane }),
            ),
          ),
        );
  });
  const done = { plan: plan.spec, operation, rows: progress.rowsDone };
  const result = await resultOf(session, parts.relation, before, done);
  const said = remark();
  if (doomed !== null && ending.state === 'SUCCEEDED') await endExpiry(deps, turn);
  progress.setResult({ ...result, ...figures(), ...(said === null ? {} : { nextStep: said }) });
  await progress.flush();
  return endedBy(ending, () => giveUp(operation, turn, parts));
}

/** The run ends for good: nothing that it has begun is left half way. */
async function giveUp(operation: Operation | undefined, turn: Turn, parts: Parts): Promise<void> {
  if (operation && parts.relation)
    await abandonWork(operation, contextOf(turn, parts, null, null), parts.position.fence);
}

/** Rows that no archive takes are deleted, also by a kind that can keep them. */
const countedBy = ({ counts }: Operation, { operation }: PlanSpec): Operation['counts'] =>
  counts === 'rowsArchived' && destinationOf(operation) === null ? 'rowsDeleted' : counts;

/** A run that stops by itself ends its turn in order, like one that was asked to: what is archived gets sealed and listed. */
async function endingOf(session: Session, work: () => Promise<Ending>): Promise<Ending> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EndingWanted) return error.ending;
    const stop = stopFor(await namingHolder(error, session));
    if (!(stop instanceof Stop)) throw error;
    return { state: stop.outcome, code: stop.stateCode, reason: stop.message };
  }
}

function contextOf(
  { plan, claim, lease }: Turn,
  parts: Parts,
  source: SourceArchive | null,
  doomed: DoomedArchive | null,
): OperationContext {
  return {
    runId: claim.runId,
    plan: plan.spec,
    spec: plan.spec.operation,
    relation: parts.relation as Relation,
    session: parts.session,
    cursor: parts.position.cursor as OperationContext['cursor'],
    throttle: () => lease.latest.throttle,
    sink: parts.archive?.sink ?? NO_SINK,
    source,
    doomed,
    content: parts.archive?.content ?? null,
    holder: parts.archive?.content.holder ?? null,
  };
}

const NO_SINK: SegmentSink = {
  append: () => Promise.reject(new TypeError('This operation archives nothing')),
};
