import type { Prisma } from '../../src/store/client/client.ts';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { OperationSpec, PlanSpec } from '../../src/domain/plan.ts';
import { DEFAULT_THROTTLE, type Throttle } from '../../src/domain/run.ts';
import { type EngineDeps, executeRun } from '../../src/engine/execute-run.ts';
import type { S3Settings } from '../../src/archive/s3-store.ts';
import { STORE_ID_FILE } from '../../src/archive/store-id.ts';
import { engineDeps, STORE_ID } from './engine-deps.ts';
import { READ_SETTINGS, Session } from '../../src/target/session.ts';
import { claimRun } from '../../src/store/leases.ts';
import { setThrottle, throttleOf } from '../../src/store/run-throttle.ts';
import { createRun, requireRun, type RunView } from '../../src/store/runs.ts';
import { touchedTables } from '../../src/planning/included-tables.ts';
import { readRelation, type Relation } from '../../src/target/catalog.ts';
import { readMergeGraph } from '../../src/target/merge-graph.ts';
import { followedBy, readReached } from '../../src/target/reached-tables.ts';
import { fingerprintSql } from '../../src/target/fingerprint.ts';
import { readIdentity } from '../../src/target/identity.ts';
import { type TestDatabase, testStore } from './postgres.ts';

/** Works as much as it is told to, whatever others notice. */
export const STEADY: Throttle = { ...DEFAULT_THROTTLE, maxSlowdown: 100 };
/** As fast as it goes: tests of what happens to rows need no rest. */
export const FAST: Throttle = { ...DEFAULT_THROTTLE, dutyCycle: 1, batchRows: 1_000, batchMs: 20 };

export interface TestEngine {
  readonly deps: EngineDeps;
  readonly storeUrl: string;
  readonly archiveDir: string;
  readonly s3: S3Settings | null;
  /** what archives are encrypted with, as hex */
  readonly keys: readonly string[];
  /** A run of a plan made by hand, queued. */
  queue(
    table: { schema?: string; name: string },
    operation: OperationSpec,
    change?: Partial<PlanSpec>,
  ): Promise<string>;
  /** One worker's turn at the run, in this process. */
  work(runId: string, stopping?: AbortSignal, change?: Partial<EngineDeps>): Promise<RunView>;
  close(): Promise<void>;
}

/** The engine by itself: real databases, plans made by hand. */
export async function testEngine(
  database: TestDatabase,
  times = { leaseMs: 10_000, heartbeatMs: 500 },
  s3: S3Settings | null = null,
  keys: readonly string[] = [],
): Promise<TestEngine> {
  const { store, url, close } = await testStore();
  const archiveDir = await mkdtemp(path.join(tmpdir(), 'declutter-archive-'));
  await writeFile(path.join(archiveDir, STORE_ID_FILE), STORE_ID);
  const deps = engineDeps(store, database.address, archiveDir, times, s3, keys);
  const { id: databaseId } = await store.prisma.database.create({
    data: {
      name: database.name,
      host: 'x',
      port: 1,
      database: database.name,
      user: 'x',
      tls: 'DISABLE',
      environment: 'STAGING',
      createdBy: 'test',
    },
  });
  return {
    deps,
    storeUrl: url,
    archiveDir,
    s3,
    keys,
    queue: async ({ schema = 'public', name }, operation, change = {}) => {
      const spec = { ...(await specOf(database, schema, name, operation)), ...change };
      const planId = randomUUID();
      await store.prisma.plan.create({
        data: {
          id: planId,
          kind: spec.kind,
          state: 'READY',
          hash: planId,
          databaseId,
          schema,
          table: name,
          requestedBy: 'test',
          expiresAt: new Date(Date.now() + 1e8),
          needsApproval: false,
          spec: { ...spec } as unknown as Prisma.InputJsonObject,
          forecast: {},
        },
      });
      const idempotency = { principal: 'test', key: planId, request: planId };
      return createRun(store, { planId, databaseId, startedBy: 'test', spec, idempotency });
    },
    work: async (runId, stopping = new AbortController().signal, change = {}) => {
      const claim = await claimRun(store, runId, randomUUID(), times.leaseMs);
      if (claim) await executeRun({ ...deps, ...change }, claim, stopping);
      return requireRun(store, runId);
    },
    close: async () => {
      await close();
      await rm(archiveDir, { recursive: true });
    },
  };
}

/** From now on the run hardly rests, whoever works at it: what was to happen between its batches has. One batch at a time all the same. */
export async function hurry({ deps: { store } }: TestEngine, runId: string): Promise<void> {
  const throttle = await throttleOf(store, runId);
  await setThrottle(store, runId, { ...throttle, dutyCycle: Math.max(throttle.dutyCycle, 0.9) });
}

async function specOf(
  database: TestDatabase,
  schema: string,
  name: string,
  operation: OperationSpec,
): Promise<PlanSpec> {
  const session = await Session.open(database.address, { ...READ_SETTINGS, applicationName: 'test' });
  try {
    const relation = await readRelation(session, schema, name);
    if (!relation) throw new Error(`No table ${schema}.${name}`);
    const relations = [];
    for (const { oid, schema, name } of await tablesOf(session, relation, operation)) {
      const { fingerprint } = await session.one<{ fingerprint: string }>(fingerprintSql(oid));
      relations.push({ oid, schema, name, fingerprint });
    }
    return {
      version: 1,
      kind: operation.kind,
      identity: await readIdentity(session),
      relations,
      operation,
      limits: { maxRows: null, maxShare: null, maxDurationMs: null },
      throttle: FAST,
      holds: [],
      rows: 1_000_000,
      rowsAreExact: false,
    };
  } finally {
    await session.close();
  }
}

async function tablesOf(
  session: Session,
  relation: Relation,
  operation: OperationSpec,
): Promise<readonly Relation[]> {
  if (operation.kind === 'DEDUPLICATION') {
    const follow = operation.references === 'REPOINT';
    return follow ? (await readMergeGraph(session, relation, { follow })).tables : [relation];
  }
  if (!('dependents' in operation) || operation.dependents === 'REFUSE') return [relation];
  return touchedTables(await readReached(session, relation, followedBy('INCLUDE')));
}
