import type { OperationSpec, PlanSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { type Throttle } from '../../src/domain/run.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { interruptLost } from '../../src/store/leases.ts';
import { requireRun, type RunView } from '../../src/store/runs.ts';
import { Session } from '../../src/target/session.ts';
import { queueRestore } from './archives.ts';
import { hurry, testEngine, type TestEngine, STEADY } from './engine.ts';
import { eventually } from './eventually.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import { recordViolations, rowViolations } from './nothing-lost.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';
import { endOf, type ProcessOptions, SHORT_LEASE, spawnTurn } from './spawn-worker.ts';

export const OLD = { column: 'old', op: 'EQ', value: 'true' } as const;

export const FILES: OperationSpec = {
  kind: 'ARCHIVE',
  filter: OLD,
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
};
export const TABLE: OperationSpec = {
  ...FILES,
  destination: { kind: 'TABLE', schema: 'public', table: 'kept' },
};
export const PURGE: OperationSpec = { kind: 'PURGE', filter: OLD, dependents: 'REFUSE', pick: 'HEAP_RANGES' };

/** Ten batches and more, with a rest after each: one at a time. */
export const ONE_LANE: Throttle = { ...STEADY, dutyCycle: 0.9, batchRows: 300, batchMs: 5 };
/** One batch is treated while the one before is made durable. */
export const TWO_LANES: Throttle = { ...ONE_LANE, dutyCycle: 1 };

const ROWS = 6_000;

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};

/** A table of which every second row is to go, what it held, and workers that may fail at it. */
export interface FaultScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  queue(operation: OperationSpec, change?: Partial<PlanSpec>): Promise<string>;
  /** One turn in a process of its own: the signal that ended it, or its exit code. */
  turn(runId: string, options?: ProcessOptions): Promise<number | string>;
  /** Another worker's turn, in this process, as if the lease of the last one had run out. */
  takeOver(runId: string, change?: Partial<EngineDeps>): Promise<RunView>;
  /** Somebody resumes the run, and a worker has its turn, which hardly rests. */
  resume(runId: string, change?: Partial<EngineDeps>): Promise<RunView>;
  /** Puts what the run has archived back. */
  queueRestore(sourceRunId: string): Promise<string>;
  /** All that is wrong once the run has succeeded; nothing may be. */
  violations(runId: string): Promise<string[]>;
  close(): Promise<void>;
}

/** change: SQL that is run on the table first. */
export async function faultScene(
  options: { database?: TestDatabase; change?: string; times?: EngineDeps['times'] } = {},
): Promise<FaultScene> {
  const target = options.database ?? (await testDatabase());
  const engine = await testEngine(target, options.times ?? SHORT_LEASE);
  await makeEvents(target);
  await target.run(options.change ?? 'SELECT');
  const before = await allRows(target);
  const scene = { database: target, engine };
  return {
    ...scene,
    queue: (operation, change = {}) =>
      engine.queue({ name: 'event' }, operation, { throttle: ONE_LANE, ...change }),
    turn: async (runId, options) => endOf(await spawnTurn(scene, runId, options)),
    takeOver: async (runId, change) => {
      await loseLease(engine, runId);
      return engine.work(runId, undefined, change);
    },
    resume: async (runId, change) => {
      await hurry(engine, runId);
      await makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } }).resume(runId, BY);
      return engine.work(runId, undefined, change);
    },
    queueRestore: (sourceRunId) => queueRestore(engine, sourceRunId, {}, { throttle: ONE_LANE }),
    violations: async (runId) => {
      const { destination } = await operationOf(engine, runId);
      return [
        ...(await rowViolations(target, { archiveDir: engine.archiveDir, runId, destination, before })),
        ...(await recordViolations(target, engine, runId)),
      ];
    },
    close: async () => {
      await engine.close();
      await target.drop();
    },
  };
}

/** Every second row matches OLD; the bodies make some dozen rows to a block. */
export async function makeEvents(database: TestDatabase, rows = ROWS): Promise<void> {
  await database.run(`
    CREATE TABLE event (id bigint PRIMARY KEY, old boolean NOT NULL, at timestamptz NOT NULL, body jsonb);
    INSERT INTO event SELECT i, i % 2 = 0, '2023-01-01'::timestamptz + i * interval '1 minute 0.000001 second',
           jsonb_build_object('i', i, 'pad', repeat('x', 150)) FROM generate_series(1, ${rows}) AS i;
    ANALYZE event`);
}

export interface Before {
  readonly all: Fingerprint;
  /** those that the filter does not choose */
  readonly others: Fingerprint;
}

export const allRows = async (database: TestDatabase): Promise<Before> => ({
  all: await fingerprintOf(database, 'SELECT * FROM event'),
  others: await fingerprintOf(database, 'SELECT * FROM event WHERE NOT old'),
});

/** As if the worker had not been heard of for as long as its lease was. */
export async function loseLease({ deps: { store } }: TestEngine, runId: string): Promise<void> {
  // A heartbeat may come in between, also of a worker that has just been killed.
  await eventually('a lost lease', async () => {
    const taken = await store.prisma
      .$executeRaw`UPDATE run SET "leaseUntil" = now() - interval '1 second' WHERE id = ${runId}::uuid AND "leaseUntil" IS NOT NULL`;
    return (await interruptLost(store)) > 0 || taken === 0;
  });
}

/** Sessions that reach the database through a port of this machine, such as a proxy's. */
export const through = (
  { address }: TestDatabase,
  port: number,
  statementTimeoutMs = 1_000,
): Pick<EngineDeps, 'connect'> => ({
  connect: (_id, settings) =>
    Session.open(
      { ...address, port },
      {
        ...settings,
        statementTimeoutMs,
        lockTimeoutMs: Math.min(settings.lockTimeoutMs, statementTimeoutMs / 2),
      },
    ),
});

/** Until the run is as wanted. */
export async function until(
  { deps: { store } }: TestEngine,
  runId: string,
  seen: (run: RunView) => boolean,
): Promise<RunView> {
  let run = await requireRun(store, runId);
  await eventually('a run that is as wanted', async () => seen((run = await requireRun(store, runId))));
  return run;
}

/** Until what the statement asks for is there. */
export const untilSeen = (database: TestDatabase, statement: string): Promise<void> =>
  eventually(statement, async () => (await database.run(statement)).length > 0);

async function operationOf(engine: TestEngine, runId: string) {
  const { planId } = await requireRun(engine.deps.store, runId);
  const { operation } = (await engine.deps.loadPlan(planId)).spec;
  return { destination: operation.kind === 'ARCHIVE' ? operation.destination.kind : null };
}
