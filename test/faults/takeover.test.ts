import { readFile } from 'node:fs/promises';
import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { requireRun } from '../../src/store/runs.ts';
import { hurry } from '../support/engine.ts';
import {
  type FaultScene,
  faultScene,
  FILES,
  loseLease,
  ONE_LANE,
  until,
  untilSeen,
} from '../support/fault-scene.ts';
import { eventually } from '../support/eventually.ts';
import { endOf, spawnTurn } from '../support/spawn-worker.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';

let scene: FaultScene;

beforeEach(async () => {
  scene = await faultScene();
});

afterEach(() => scene.close());

/** The first batch is far more than the buffers of a connection hold. */
const MANY_BYTES = `
  UPDATE event SET body = (SELECT jsonb_agg(md5(event.id || ' ' || n)) FROM generate_series(1, 2000) AS n) WHERE id <= 300;
  CLUSTER event USING event_pkey`;

const HANGING = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'`;

const stopped = (pid: number) =>
  eventually('a stopped worker', async () =>
    /^State:\s+T/m.test(await readFile(`/proc/${pid}/status`, 'utf8')),
  );

describe('a worker that is stopped beyond its lease', () => {
  it.each([
    'batch.opened',
    'batch.treated',
    'segment.synced',
    'batch.stored',
    'batch.commit-sent',
    'batch.committed',
  ])('at %s has lost its run when it wakes up, and touches nothing any more', async (failpoint) => {
    const runId = await scene.queue(FILES);
    const worker = await spawnTurn(scene, runId, { failpoints: `${failpoint}=stop@3` });
    await stopped(worker.pid ?? 0);
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    worker.kill('SIGCONT');
    expect(await endOf(worker)).toBe(0);
    expect(await scene.violations(runId)).toEqual([]);
    expect((await requireRun(scene.engine.deps.store, runId)).state).toBe('SUCCEEDED');
  });

  it('by work of its own that lets nothing else be done, leaves the batch alone', async () => {
    const runId = await scene.queue(FILES);
    const worker = await spawnTurn(scene, runId, { failpoints: 'batch.stored=busy:3000@3' });
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await untilSeen(scene.database, `SELECT FROM declutter.batch WHERE number = 2`);
    await rest(2_000); // longer than its lease, by itself
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await endOf(worker)).toBe(0);
    expect(await scene.violations(runId)).toEqual([]);
  });
});

describe('a dead worker', () => {
  it('whose backend hangs in a write to it has its run taken over, and the backend is ended', async () => {
    await scene.close();
    scene = await faultScene({ change: MANY_BYTES });
    const { ip, port } = scene.database.address;
    const proxy = await tcpProxy({ host: ip, port });
    proxy.loses = (direction, piece, connection) => {
      if (direction === 'TO_SERVER' && piece.includes('COPY (')) proxy.holdBack(connection);
      return false;
    };
    const runId = await scene.queue(FILES);
    const worker = await spawnTurn(scene, runId, { port: proxy.port });
    await untilSeen(scene.database, HANGING);
    worker.kill('SIGKILL');
    await endOf(worker);
    await untilSeen(scene.database, HANGING);
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.database.run(HANGING)).toEqual([]);
    expect(await scene.violations(runId)).toEqual([]);
    await proxy.close();
  });
});

describe('several workers', () => {
  it('start one run, and one of them proceeds', async () => {
    const runId = await scene.queue(FILES);
    await Promise.all([1, 2, 3, 4, 5].map(() => scene.engine.work(runId)));
    expect(await scene.violations(runId)).toEqual([]);
    expect(await scene.database.run('SELECT fence::int FROM declutter.run')).toEqual([{ fence: 1 }]);
  });

  it('take over from one another again and again, and the rows are in one place each', async () => {
    const runId = await scene.queue(FILES, { throttle: { ...ONE_LANE, dutyCycle: 0.08 } });
    const turns = [scene.engine.work(runId)];
    for (let n = 0; n < 4; n += 1) {
      const { progress } = await requireRun(scene.engine.deps.store, runId);
      await until(
        scene.engine,
        runId,
        (run) => run.progress.rowsDone > progress.rowsDone || run.state === 'SUCCEEDED',
      );
      await loseLease(scene.engine, runId);
      turns.push(scene.engine.work(runId));
    }
    await hurry(scene.engine, runId);
    await Promise.all(turns);
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('of a version that does not know the ledger leave the run to those that do', async () => {
    const runId = await scene.queue(FILES);
    await scene.turn(runId, { failpoints: 'batch.committed=kill@3' });
    await scene.database.run('UPDATE declutter.run SET protocol = protocol + 1');
    const live = await scene.database.run('SELECT count(*) AS n FROM event');
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'RUNNING' });
    expect(await scene.database.run('SELECT count(*) AS n FROM event')).toEqual(live);
  });
});
