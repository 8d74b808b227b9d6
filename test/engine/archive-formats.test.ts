import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveKeys } from '../../src/archive/archive-keys.ts';
import type { ArchiveDestination } from '../../src/domain/plan.ts';
import { allSegments } from '../../src/store/archives.ts';
import { archiveOf, queueRestore, verified } from '../support/archives.ts';
import { loseLease } from '../support/fault-scene.ts';
import { type ItemScene, itemScene } from '../support/items.ts';
import { endOf, SHORT_LEASE, spawnTurn } from '../support/spawn-worker.ts';
import { STEADY } from '../support/engine.ts';

/** One lane, and some dozen batches. */
const SMALL = { ...STEADY, dutyCycle: 0.9, batchRows: 300 };
const KEY = Buffer.alloc(32, 3);
const OTHER_KEY = Buffer.alloc(32, 4);

let scene: ItemScene;

beforeEach(async () => {
  scene = await itemScene(SHORT_LEASE, [KEY]);
});
afterEach(() => scene.close());

const holding = (keys: readonly Buffer[]) => ({ archiveKeys: makeArchiveKeys(keys) });
const verify = (runId: string, keys: readonly Buffer[] = [KEY]) =>
  verified(scene.engine, runId, holding(keys));
const restored = async (runId: string, keys: readonly Buffer[] = [KEY]) =>
  scene.engine.work(await queueRestore(scene.engine, runId), undefined, holding(keys));

const segmentsOf = async (runId: string) =>
  allSegments(scene.engine.deps.store, (await archiveOf(scene.engine, runId)).id);

const firstLocation = async (runId: string) => (await segmentsOf(runId))[0]?.location ?? '';

async function flipByte(location: string): Promise<void> {
  const file = await open(path.join(scene.engine.archiveDir, location), 'r+');
  const { size } = await file.stat();
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size >> 1);
  await file.write(Buffer.of((byte[0] as number) ^ 1), 0, 1, size >> 1);
  await file.close();
}

describe.each(['COPY_ZSTD', 'JSONL_ZSTD', 'PARQUET'] as const)('an archive in %s, encrypted', (format) => {
  it('names the segment that has another byte than it was given, and restores nothing of it', async () => {
    const runId = await scene.archived({ kind: 'FILES', store: 'local', format });
    const location = await firstLocation(runId);
    const bytes = await readFile(path.join(scene.engine.archiveDir, location));
    expect(bytes.includes('note 17')).toBe(false);
    await flipByte(location);
    expect(await verify(runId)).toMatchObject({
      ok: false,
      problems: [{ code: 'SEGMENT_DAMAGED', message: expect.stringContaining(location) }],
    });
    expect(await restored(runId)).toMatchObject({
      state: 'FAILED',
      stateCode: 'ARCHIVE_DAMAGED',
      stateReason: expect.stringContaining(location),
    });
    await flipByte(location);
    await scene.isWhole(runId);
  });

  it('can be read with its own key only, which may have become an older one', async () => {
    const runId = await scene.archived({ kind: 'S3', store: 's3', format });
    const keyId = (await archiveOf(scene.engine, runId)).content.encryption?.keyId ?? '';
    for (const keys of [[], [OTHER_KEY]]) {
      expect(await verify(runId, keys)).toMatchObject({
        ok: false,
        problems: [{ code: 'KEY_MISSING', message: expect.stringContaining(keyId) }],
      });
      expect(await restored(runId, keys)).toMatchObject({
        state: 'PAUSED',
        stateCode: 'ARCHIVE_KEY',
        stateReason: expect.stringContaining(keyId),
      });
      const { prisma } = scene.engine.deps.store;
      await prisma.run.updateMany({ where: { state: 'PAUSED' }, data: { state: 'CANCELLED' } });
      await prisma.runTable.deleteMany();
    }
    expect(await verify(runId, [OTHER_KEY, KEY])).toMatchObject({ ok: true, rowsChecked: 6_000 });
    await scene.isWhole(runId);
  });
});

describe.each(['JSONL_ZSTD', 'PARQUET'] as const)('a run that archives in %s, encrypted', (format) => {
  const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format };

  it('goes on with the key that it began with, when another has come before it', async () => {
    const runId = await scene.queue(FILES, { throttle: SMALL });
    const killed = await endOf(await spawnTurn(scene, runId, { failpoints: 'batch.committed=kill@2' }));
    expect(killed).toBe('SIGKILL');
    await loseLease(scene.engine, runId);
    const keys = holding([OTHER_KEY, KEY]);
    expect(await scene.engine.work(runId, undefined, keys)).toMatchObject({ state: 'SUCCEEDED' });
    await scene.isWhole(runId);
  }, 120_000);

  it.each(['segment.written=kill@3', 'segment.synced=kill@3', 'segment.renamed=kill'])(
    'loses nothing when its worker is killed with -9 at %s',
    async (failpoints) => {
      const runId = await scene.queue(FILES, { throttle: SMALL });
      expect(await endOf(await spawnTurn(scene, runId, { failpoints }))).toBe('SIGKILL');
      await loseLease(scene.engine, runId);
      expect(await scene.engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
      const listed = (await segmentsOf(runId)).map(({ location }) => path.basename(location));
      const names = await readdir(path.join(scene.engine.archiveDir, runId));
      expect(names.sort()).toEqual([...listed, 'manifest.json'].sort());
      await scene.isWhole(runId);
    },
    120_000,
  );
});
