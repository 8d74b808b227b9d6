import { randomUUID } from 'node:crypto';
import type { PlanSpec } from '../domain/plan.ts';
import { mayFollow, NO_RESULT, type RunResult, type StateCode, type Throttle } from '../domain/run.ts';
import type { RunState } from '../domain/words.ts';
import { DeclutterError, notFound } from '../errors.ts';
import { Prisma, type Run } from './client/client.ts';
import type { Store } from './open-store.ts';
import { type Page, pageOf, type PageRequest, pageSize, pageStart } from './page.ts';
import { storedThrottle } from './run-throttle.ts';

export interface RunView {
  readonly id: string;
  readonly planId: string;
  readonly databaseId: string;
  readonly state: RunState;
  readonly stateCode: string | null;
  readonly stateReason: string | null;
  readonly progress: {
    readonly rowsDone: number;
    readonly rowsTotal: number | null;
    readonly ratio: number | null;
    readonly rowsPerSecond: number | null;
    readonly etaSeconds: number | null;
    readonly batches: number;
  };
  readonly throttle: {
    readonly active: boolean;
    readonly reason: string | null;
    readonly dutyCycle: number;
    readonly batchRows: number;
  };
  readonly result: RunResult;
  readonly startedBy: string;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly heartbeatAt: Date | null;
}

export interface NewEvent {
  readonly kind: string;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export async function findRun(store: Store, id: string): Promise<RunView | null> {
  const run = await store.prisma.run.findUnique({ where: { id } });
  return run && viewOf(run);
}

/** In the order of the ids; null for one that does not exist. */
export async function findRuns({ prisma }: Store, ids: readonly string[]): Promise<(RunView | null)[]> {
  const runs = await prisma.run.findMany({ where: { id: { in: [...ids] } } });
  const views = new Map(runs.map((run) => [run.id, viewOf(run)]));
  return ids.map((id) => views.get(id) ?? null);
}

/** @throws NOT_FOUND */
export async function requireRun(store: Store, id: string): Promise<RunView> {
  const run = await findRun(store, id);
  if (!run) throw notFound('The run');
  return run;
}

export async function findRunByPlan(store: Store, planId: string): Promise<RunView | null> {
  const run = await store.prisma.run.findUnique({ where: { planId } });
  return run && viewOf(run);
}

export interface RunFilter extends PageRequest {
  readonly database?: string | null;
  readonly states?: readonly RunState[] | null;
}

/** Newest first. */
export async function listRuns(store: Store, filter: RunFilter): Promise<Page<RunView>> {
  const start = pageStart(filter, ['moment', 'id']);
  const runs = await store.prisma.run.findMany({
    where: {
      ...(filter.database == null ? {} : { database: { name: filter.database } }),
      ...(filter.states == null ? {} : { state: { in: [...filter.states] } }),
      ...(start === null ? {} : { OR: olderThan(start) }),
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: pageSize(filter) + 1,
  });
  const keys = new Map(runs.map((run) => [run.id, [run.createdAt.toISOString(), run.id]]));
  return pageOf(runs.map(viewOf), filter, (run) => keys.get(run.id) ?? []);
}

const olderThan = ([at, id]: string[]) => [
  { createdAt: { lt: new Date(at ?? '') } },
  { createdAt: new Date(at ?? ''), id: { lt: id ?? '' } },
];

export interface NewRun {
  readonly planId: string;
  readonly databaseId: string;
  readonly startedBy: string;
  readonly spec: PlanSpec;
  readonly idempotency: { readonly principal: string; readonly key: string; readonly request: string };
}

/** The run, its tables' locks, its key and the plan's new state, all or nothing. @throws CONFLICT naming the run in the way */
export async function createRun(store: Store, run: NewRun): Promise<string> {
  const id = randomUUID();
  const { spec } = run;
  try {
    await store.prisma.$transaction([
      store.prisma.plan.update({
        where: { id: run.planId, state: { in: ['READY', 'APPROVED'] } },
        data: { state: 'STARTED' },
      }),
      store.prisma.run.create({
        data: {
          id,
          planId: run.planId,
          databaseId: run.databaseId,
          state: 'QUEUED',
          startedBy: run.startedBy,
          throttle: storedThrottle(spec.throttle),
          batchRows: spec.throttle.batchRows,
          rowsTotal: spec.rows,
          eventCount: 1,
        },
      }),
      store.prisma.runEvent.create({
        data: { runId: id, sequence: 1, kind: 'QUEUED', message: `Started by ${run.startedBy}.`, data: {} },
      }),
      store.prisma.idempotencyKey.create({ data: { ...run.idempotency, runId: id } }),
      store.prisma.runTable.createMany({ data: tableLocks(id, spec) }),
    ]);
    return id;
  } catch (error) {
    throw await refusal(store, run, error);
  }
}

const tableLocks = (runId: string, { identity, relations }: PlanSpec) =>
  relations.map(({ oid }) => ({
    systemIdentifier: identity.systemIdentifier,
    databaseOid: identity.databaseOid,
    tableOid: oid,
    runId,
  }));

async function refusal(store: Store, run: NewRun, error: unknown): Promise<unknown> {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return error;
  if (error.code === 'P2025') {
    return new DeclutterError('CONFLICT', 'The plan has been started or decided on meanwhile.', {
      planId: run.planId,
    });
  }
  if (error.code !== 'P2002') return error;
  const other = await runOnTables(store, run.spec);
  return other === null
    ? new DeclutterError('CONFLICT', 'The plan has been started meanwhile.', { planId: run.planId })
    : new DeclutterError(
        'CONFLICT',
        `Another run is active on the same table: ${other}. Wait for it or cancel it.`,
        { runId: other },
      );
}

async function runOnTables(store: Store, { identity, relations }: PlanSpec): Promise<string | null> {
  const lock = await store.prisma.runTable.findFirst({
    where: {
      systemIdentifier: identity.systemIdentifier,
      databaseOid: identity.databaseOid,
      tableOid: { in: relations.map(({ oid }) => oid) },
    },
  });
  return lock?.runId ?? null;
}

export async function findIdempotencyKey(store: Store, principal: string, key: string) {
  return store.prisma.idempotencyKey.findUnique({ where: { principal_key: { principal, key } } });
}

export interface Transition {
  readonly from: readonly RunState[];
  readonly to: RunState;
  readonly code: StateCode | null;
  readonly reason: string | null;
  readonly event: NewEvent;
  /** only when this worker holds the lease */
  readonly workerId?: string;
  readonly keepsLease?: boolean;
}

/** Compare-and-set of a run's state, with its event. False when the run is (no longer) in one of the from-states. */
export async function transition(
  store: { readonly prisma: Pick<Store['prisma'], '$executeRaw'> },
  id: string,
  change: Transition,
): Promise<boolean> {
  for (const from of change.from) {
    if (!mayFollow(from, change.to)) throw new TypeError(`No edge from ${from} to ${change.to}`);
  }
  const ended = change.to === 'SUCCEEDED' || change.to === 'FAILED' || change.to === 'CANCELLED';
  const lease = change.keepsLease ? Prisma.empty : Prisma.sql`, "workerId" = NULL, "leaseUntil" = NULL`;
  const changed = await store.prisma.$executeRaw`
    WITH changed AS (
      UPDATE run SET state = ${change.to}::"RunState", "stateCode" = ${change.code}, "stateReason" = ${change.reason},
             asked = CASE WHEN ${change.to} = 'INTERRUPTED'
                          THEN CASE state WHEN 'PAUSING' THEN 'PAUSED' WHEN 'CANCELLING' THEN 'CANCELLED' END END::"RunState",
             version = version + 1, "eventCount" = "eventCount" + 1,
             "throttleActive" = false, "throttleReason" = NULL,
             "endedAt" = CASE WHEN ${ended} THEN now() ELSE NULL END ${lease}
       WHERE id = ${id}::uuid AND state = ANY (${[...change.from]}::"RunState"[])
         AND (${change.workerId ?? null}::text IS NULL OR "workerId" = ${change.workerId ?? null})
      RETURNING id, "eventCount"),
    unlocked AS (DELETE FROM run_table WHERE ${ended} AND "runId" IN (SELECT id FROM changed))
    INSERT INTO run_event ("runId", sequence, kind, message, data)
    SELECT id, "eventCount", ${change.event.kind}, ${change.event.message}, ${JSON.stringify(change.event.data ?? {})}::jsonb FROM changed`;
  return changed === 1;
}

/** From FAILED to QUEUED with its tables' locks taken again, both or neither. @throws CONFLICT */
export async function requeueFailed(
  store: Store,
  id: string,
  spec: PlanSpec,
  event: NewEvent,
): Promise<boolean> {
  try {
    return await store.prisma.$transaction(async (prisma) => {
      const queued = await transition({ prisma }, id, {
        from: ['FAILED'],
        to: 'QUEUED',
        code: null,
        reason: null,
        event,
      });
      if (queued) await prisma.runTable.createMany({ data: tableLocks(id, spec) });
      return queued;
    });
  } catch (error) {
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
    const other = await runOnTables(store, spec);
    throw new DeclutterError(
      'CONFLICT',
      `Another run is active on the same table: ${other ?? 'ended just now'}.`,
      {
        runId: other,
      },
    );
  }
}

function viewOf(run: Run): RunView {
  const throttle = run.throttle as unknown as Throttle;
  const rowsDone = Number(run.rowsDone);
  const rowsTotal = run.rowsTotal === null ? null : Number(run.rowsTotal);
  const remaining = rowsTotal === null ? null : Math.max(0, rowsTotal - rowsDone);
  const active = run.state === 'RUNNING' || run.state === 'PAUSING' || run.state === 'CANCELLING';
  return {
    ...pickFields(run),
    progress: {
      rowsDone,
      rowsTotal,
      ratio: run.state === 'SUCCEEDED' ? 1 : rowsTotal ? Math.min(1, rowsDone / rowsTotal) : null,
      rowsPerSecond: run.rowsPerSecond,
      etaSeconds:
        active && remaining !== null && run.rowsPerSecond ? Math.ceil(remaining / run.rowsPerSecond) : null,
      batches: run.batches,
    },
    throttle: {
      active: run.throttleActive,
      reason: run.throttleReason,
      dutyCycle: throttle.dutyCycle,
      batchRows: run.batchRows,
    },
    result: { ...NO_RESULT, ...(run.result as unknown as Partial<RunResult>) },
  };
}

const pickFields = ({
  id,
  planId,
  databaseId,
  state,
  stateCode,
  stateReason,
  startedBy,
  startedAt,
  endedAt,
  heartbeatAt,
}: Run) => ({
  id,
  planId,
  databaseId,
  state,
  stateCode,
  stateReason,
  startedBy,
  startedAt,
  endedAt,
  heartbeatAt,
});
