import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { allSegments } from '../../src/store/archives.ts';
import { archiveOf, S3, verified } from '../support/archives.ts';
import { type ItemScene, itemScene } from '../support/items.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';
import { STEADY } from '../support/engine.ts';

let scene: ItemScene;

beforeEach(async () => {
  scene = await itemScene(SHORT_LEASE);
});
afterEach(() => scene.close());

const segmentsOf = async (runId: string) =>
  allSegments(scene.engine.deps.store, (await archiveOf(scene.engine, runId)).id);

/** Objects of the run that are neither listed nor the manifest. */
async function strays(runId: string): Promise<string[]> {
  const listed = (await segmentsOf(runId)).map(({ location }) => location);
  return (await scene.server.store.list(runId)).filter(
    (location) => ![...listed, `${runId}/manifest.json`].includes(location),
  );
}

const bytesOf = ({ key, method }: { key: string; method: string }) =>
  key.endsWith('.zst') && method === 'PUT';

describe('an archive in S3', () => {
  it('is an object for each batch, each written under a name that nothing had, and a manifest', async () => {
    const runId = await scene.archived(S3);
    const segments = await segmentsOf(runId);
    expect(segments.length).toBeGreaterThan(5);
    expect(segments.map(({ sequence }) => sequence)).toEqual(segments.map((_, i) => i + 1));
    const { requests, store } = scene.server;
    const written = requests.filter(bytesOf);
    expect(written.length).toBeGreaterThanOrEqual(segments.length);
    expect(written.every(({ isConditional }) => isConditional)).toBe(true);
    const read = requests.filter(({ method, key }) => method === 'GET' && key.endsWith('.zst'));
    expect(read.map(({ key }) => key)).toEqual(
      expect.arrayContaining(segments.map(({ location }) => location)),
    );
    expect(await store.list(runId)).toContain(`${runId}/manifest.json`);
    await scene.isWhole(runId);
  });

  it.each(['BUSY', 'LOST_REPLY', 'SILENT'] as const)(
    'loses nothing when the store is now and then %s',
    async (fault) => {
      let requests = 0;
      scene.server.fault = (request) =>
        bytesOf(request) && [3, 6, 9].includes((requests += 1)) ? fault : null;
      const runId = await scene.queue(S3);
      expect(await scene.engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(requests).toBeGreaterThan(9);
      scene.server.fault = () => null;
      expect(await strays(runId)).toEqual([]);
      await scene.isWhole(runId);
    },
  );

  it('rolls back and pauses when the store keeps other bytes than it was given', async () => {
    let requests = 0;
    scene.server.fault = (request) => (bytesOf(request) && (requests += 1) === 3 ? 'OTHER_BYTES' : null);
    const runId = await scene.queue(S3);
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'ARCHIVE_STORE' });
    const [left] = await scene.database.run('SELECT count(*)::int AS rows FROM item');
    const { rows } = await archiveOf(scene.engine, runId);
    expect(rows).toBeGreaterThan(0);
    expect(left?.['rows']).toBe(9_000 - rows);
    expect(await verified(scene.engine, runId)).toMatchObject({ problems: [] });
    expect(await strays(runId)).toEqual([]);
    expect((await scene.server.store.list('orphans')).length).toBe(1);
  });

  it('loses nothing when its worker is killed with -9 three times', async () => {
    const throttle = { ...STEADY, dutyCycle: 0.3, batchRows: 100, batchMs: 2 };
    const runId = await scene.queue(S3, { throttle });
    await runThroughKills(scene, runId, { span: 5 });
    expect(await strays(runId)).toEqual([]);
    await scene.isWhole(runId);
  }, 120_000);

  it('pauses while the store is away, and goes on when it is back', async () => {
    let requests = 0;
    scene.server.fault = (request) => (bytesOf(request) && (requests += 1) > 3 ? 'BUSY' : null);
    const runId = await scene.queue(S3);
    expect(await scene.engine.work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'ARCHIVE_STORE',
      stateReason: expect.stringContaining('SlowDown'),
    });
    scene.server.fault = () => null;
    await scene.engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'QUEUED' } });
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    await scene.isWhole(runId);
  });
});
