import { afterAll, afterEach, expect, it } from '@jest/globals';
import type { ArchiveDestination } from '../../src/domain/plan.ts';
import { archiveOf, FILES, S3, TABLE } from '../support/archives.ts';
import type { Version } from '../support/installations.ts';
import { availableVersions } from '../support/postgres.ts';
import { s3Server } from '../support/s3-server.ts';
import { type ShopScene, shopScene } from '../support/shop-scene.ts';
import { expectedToGo, wronglyTreated } from '../support/shop-with-everything.ts';

const bucket = await s3Server();
afterAll(() => bucket.close());

let scene: ShopScene;
afterEach(() => scene.close());

/** Each destination, format and way to write SQL once. */
const ARCHIVES: readonly (readonly [ArchiveDestination, Version])[] = [
  [TABLE, 14],
  [S3, 14],
  [FILES, 18],
  [{ kind: 'S3', store: 's3', format: 'JSONL_ZSTD' }, 18],
  [{ kind: 'FILES', store: 'local', format: 'PARQUET' }, 18],
];

it.each(ARCHIVES.filter(([, version]) => availableVersions().includes(version)))(
  'an archive to %j with what references its rows takes exactly the whole closure, and a restore brings every row and reference back, on PostgreSQL %i',
  async (destination, version) => {
    scene = await shopScene(bucket, version);
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
  },
);
