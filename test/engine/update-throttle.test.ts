import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { type Throttle } from '../../src/domain/run.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import { requireRun, type RunView } from '../../src/store/runs.ts';
import { testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const PURGE: OperationSpec = {
  kind: 'PURGE',
  filter: { column: 'id', op: 'GT', value: '0' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
};
const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, { leaseMs: 60_000, heartbeatMs: 500 });
  await database.run(`
    CREATE TABLE item (id int PRIMARY KEY, note text);
    INSERT INTO item SELECT i, repeat('note', 50) FROM generate_series(1, 20000) AS i; ANALYZE item`);
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const control = () => makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });
const queue = (throttle: Partial<Throttle>) =>
  engine.queue({ name: 'item' }, PURGE, { throttle: { ...STEADY, ...throttle } });

async function until(runId: string, seen: (run: RunView) => boolean): Promise<void> {
  await eventually('a run that is as wanted', async () => seen(await requireRun(engine.deps.store, runId)));
}

/** Time in which nothing comes by itself: no heartbeat, no look around, no end of a rest. */
const still = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
    ms < 100 ? systemClock.sleep(ms, signal) : systemClock.sleep(3_600_000, signal),
};

describe('updateThrottle', () => {
  it('ends a rest at once: the run goes on as it is told now', async () => {
    const runId = await queue({ dutyCycle: 0.01, batchMs: 40, batchRows: 300 });
    const work = engine.work(runId, new AbortController().signal, { clock: still });
    await until(runId, ({ progress }) => progress.rowsDone > 0);
    await control().updateThrottle(runId, { dutyCycle: 1 }, BY);
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 20_000 } });
  });

  it('takes a bound away again, and is heard while the run rests for it', async () => {
    const runId = await queue({ dutyCycle: 1, window: closed(), maxActiveSessions: 0 });
    const work = engine.work(runId, new AbortController().signal, { clock: still });
    await until(runId, ({ throttle }) => throttle.active);
    expect(await requireRun(engine.deps.store, runId)).toMatchObject({
      progress: { rowsDone: 0 },
      throttle: { reason: expect.stringContaining('only') },
    });
    await control().updateThrottle(runId, { window: null, maxActiveSessions: null }, BY);
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 20_000 } });
  });

  it('gives a run that shall rest one lane, and one that need not two', async () => {
    const runId = await queue({ dutyCycle: 1, batchRows: 200, batchMs: 1 });
    const work = engine.work(runId);
    await until(runId, ({ progress }) => progress.rowsDone > 0);
    await control().updateThrottle(runId, { dutyCycle: 0.01 }, BY);
    await until(runId, ({ throttle }) => throttle.dutyCycle === 0.01);
    await control().updateThrottle(runId, { dutyCycle: 1 }, BY);
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 20_000 } });
    expect(await database.run('SELECT sum(rows)::int AS rows FROM declutter.batch')).toEqual([
      { rows: 20_000 },
    ]);
  });

  it('is heard of a pause in a rest as well', async () => {
    const runId = await queue({ dutyCycle: 0.01, batchMs: 40, batchRows: 300 });
    const work = engine.work(runId, new AbortController().signal, { clock: still });
    await until(runId, ({ progress }) => progress.rowsDone > 0);
    await control().pause(runId, null, BY);
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'PAUSED_BY_REQUEST' });
  });
});

/** A minute of the day that is over. */
function closed() {
  const at = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  const ago = Date.now() - 3 * 3_600_000;
  return { from: at(ago), to: at(ago + 60_000), timeZone: 'UTC' };
}
