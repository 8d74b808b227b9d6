import { setTimeout as rest } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { needsSomebody } from '../../src/domain/run.ts';
import { setThrottle } from '../../src/store/run-throttle.ts';
import { requireRun } from '../../src/store/runs.ts';
import { FAST } from './engine.ts';
import { eventually } from './eventually.ts';
import { loseLease, until } from './fault-scene.ts';
import { endOf, type ProcessOptions, type Scene, spawnWorker } from './spawn-worker.ts';

/** No worker loses it by being slow. */
const LONG_LEASE = { leaseMs: 10_000, heartbeatMs: 250 };

interface Killing {
  readonly span?: number;
  readonly afterKill?: () => Promise<void>;
  readonly times?: ProcessOptions['times'];
}

/**
 * Kills the worker with -9 at three random moments of its work, each within so many batches (span), then lets one finish, which
 * rests no more. The run needs some dozen batches more, so as not to be done before. Its lease is taken from who was killed, unless
 * times are given by which it runs out.
 */
export async function runThroughKills(
  scene: Scene,
  runId: string,
  { span = 6, afterKill = async () => {}, times }: Killing = {},
): Promise<void> {
  for (let kills = 0; kills < 3; kills += 1) {
    await withWorker(scene, 'SIGKILL', times, async () => {
      await moreBatches(scene, runId, 1 + Math.floor(Math.random() * span));
      await rest(Math.random() * 30);
    });
    if (times === undefined) await loseLease(scene.engine, runId);
    await afterKill();
  }
  await setThrottle(scene.engine.deps.store, runId, FAST);
  await withWorker(scene, 'SIGTERM', times, async () => {
    const run = await until(scene.engine, runId, ({ state }) => needsSomebody(state));
    expect(run).toMatchObject({ state: 'SUCCEEDED' });
  });
}

async function withWorker(
  scene: Scene,
  signal: NodeJS.Signals,
  times: ProcessOptions['times'],
  work: () => Promise<void>,
): Promise<void> {
  const worker = await spawnWorker(scene, { times: times ?? LONG_LEASE });
  try {
    await work();
  } finally {
    worker.kill(signal);
    await endOf(worker);
  }
}

async function moreBatches(scene: Scene, runId: string, count: number): Promise<void> {
  const goal = (await batchesOf(scene, runId)) + count;
  await eventually(`${count} more batches`, async () => {
    const { state } = await requireRun(scene.engine.deps.store, runId);
    if (needsSomebody(state))
      throw new Error(`The run was ${state} before its worker was killed three times.`);
    return (await batchesOf(scene, runId)) >= goal;
  });
}

/** By the ledger: what people see of a run is some batches late. */
async function batchesOf({ database }: Scene, runId: string): Promise<number> {
  const [ledger] = await database.run(`SELECT to_regclass('declutter.hold') IS NOT NULL AS there`);
  if (ledger?.['there'] !== true) return 0;
  const [row] = await database.run(
    `SELECT count(*)::int AS n FROM declutter.batch WHERE run_id = '${runId}' AND rows > 0`,
  );
  return row?.['n'] as number;
}
