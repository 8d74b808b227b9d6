import { once } from 'node:events';
import { expect } from '@jest/globals';
import { hasEnded } from '../../src/domain/run.ts';
import { requireRun } from '../../src/store/runs.ts';
import { type Scene, spawnWorker } from './spawn-worker.ts';

/** Kills the worker with -9 at three random moments of its work, then lets one finish. */
export async function runThroughKills(
  scene: Scene,
  runId: string,
  { span = 6_000, afterKill = async () => {} }: { span?: number; afterKill?: () => Promise<void> } = {},
): Promise<number> {
  let kills = 0;
  for (;;) {
    const worker = await spawnWorker(scene);
    const before = (await requireRun(scene.engine.deps.store, runId)).progress.rowsDone;
    const goal = before + 1 + Math.floor(Math.random() * span);
    for (;;) {
      const run = await requireRun(scene.engine.deps.store, runId);
      if (hasEnded(run.state) || run.state === 'PAUSED') {
        worker.kill('SIGTERM');
        await once(worker, 'exit');
        expect(run).toMatchObject({ state: 'SUCCEEDED' });
        return kills;
      }
      if (kills < 3 && run.progress.rowsDone >= goal) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    kills += 1;
    await afterKill();
  }
}
