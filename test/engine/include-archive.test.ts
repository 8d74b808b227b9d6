import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { ArchiveDestination } from '../../src/domain/plan.ts';
import { archiveOf, DESTINATIONS } from '../support/archives.ts';
import { availableVersions } from '../support/postgres.ts';
import { s3Server } from '../support/s3-server.ts';
import { type ShopScene, shopScene } from '../support/shop-scene.ts';
import { expectedToGo, wronglyTreated } from '../support/shop-with-everything.ts';

const bucket = await s3Server();
afterAll(() => bucket.close());

let scene: ShopScene;
afterEach(() => scene.close());

async function goesAndComesBack(destination: ArchiveDestination): Promise<void> {
  const gone = await expectedToGo(scene.database);
  const runId = await scene.archived(destination);
  expect(await wronglyTreated(scene.database)).toBe(0);
  expect((await archiveOf(scene.engine, runId)).rows).toBe(gone);
  expect(await scene.restored(runId)).toMatchObject({
    state: 'SUCCEEDED',
    stateReason: null,
    result: { rowsRestored: gone, nextStep: null },
  });
  expect(await scene.everyRow()).toEqual(scene.before);
}

const oldestAndNewest = availableVersions().filter((version) => version === 14 || version === 18);

describe.each(DESTINATIONS)('an archive to $kind with what references its rows', (destination) => {
  it.each(oldestAndNewest)(
    'takes exactly the whole closure, and a restore brings every row and reference back, on PostgreSQL %i',
    async (version) => {
      scene = await shopScene(bucket, version);
      await goesAndComesBack(destination);
    },
  );
});

describe.each<ArchiveDestination>([
  { kind: 'FILES', store: 'local', format: 'JSONL_ZSTD' },
  { kind: 'S3', store: 's3', format: 'JSONL_ZSTD' },
  { kind: 'FILES', store: 'local', format: 'PARQUET' },
  { kind: 'S3', store: 's3', format: 'PARQUET' },
])('an archive to $kind in $format with what references its rows', (destination) => {
  it('takes exactly the whole closure, and a restore brings every row and reference back', async () => {
    scene = await shopScene(bucket);
    await goesAndComesBack(destination);
  });
});
