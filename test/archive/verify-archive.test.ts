import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { Session } from '../../src/target/session.ts';
import { archiveOf, FILES, restored, TABLE, verified } from '../support/archives.ts';
import { until } from '../support/fault-scene.ts';
import { type ItemScene, itemScene } from '../support/items.ts';
import { STEADY } from '../support/engine.ts';

let scene: ItemScene;
let runId: string;

beforeEach(async () => {
  scene = await itemScene();
});
afterEach(() => scene.close());

const verify = (change: Partial<EngineDeps> = {}) => verified(scene.engine, runId, change);

async function isRefused(what: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  expect(await what).toMatchObject({
    ok: false,
    problems: [{ code, message: expect.stringMatching(message) }],
  });
  expect((await archiveOf(scene.engine, runId)).verifiedAt).toBeNull();
}

describe.each([FILES, TABLE])('the verification of an archive in $kind', (destination) => {
  it('is good when all that the run archived was read', async () => {
    runId = await scene.archived(destination);
    expect(await verify()).toEqual({ ok: true, segmentsChecked: 1, rowsChecked: 6_000, problems: [] });
    expect((await archiveOf(scene.engine, runId)).verifiedAt).not.toBeNull();
  });

  it('is not good while rows are in a segment that nobody has sealed', async () => {
    const throttle = { ...STEADY, dutyCycle: 0.03, batchRows: 200, batchMs: 2 };
    runId = await scene.queue(destination, { throttle });
    const stopping = new AbortController();
    const working = scene.engine.work(runId, stopping.signal);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await isRefused(verify(), 'SEGMENT_UNSEALED', destination.kind === 'FILES' ? /not sealed/ : /hold 0\./);
    stopping.abort();
    await working;
  });

  it('is not good when the list lacks a segment, whether or not the ledger can be asked', async () => {
    runId = await scene.archived(destination);
    const { prisma } = scene.engine.deps.store;
    await prisma.archiveSegment.deleteMany();
    await prisma.archive.updateMany({ data: { rows: 0, bytes: 0 } });
    await isRefused(verify(), 'SEGMENT_MISSING', /is in the ledger, and not in the list/);
    await scene.database.run('DROP SCHEMA declutter CASCADE');
    await isRefused(
      verify(),
      'SEGMENT_MISSING',
      /has archived 6000 rows; the segments that are listed hold 0/,
    );
  });
});

describe('the verification of files', () => {
  it('names a segment that is cut, empty, gone or another, and nothing of it is restored; a file too many is no matter', async () => {
    runId = await scene.archived(FILES);
    const folder = path.join(scene.engine.archiveDir, runId);
    const [segment = ''] = (await readdir(folder)).filter((name) => name.endsWith('.zst'));
    const file = path.join(folder, segment);
    const whole = await readFile(file);
    for (const damage of [
      () => truncate(file, whole.length - 1),
      () => truncate(file, 0),
      () => rm(file),
      () => writeFile(file, Buffer.alloc(whole.length)),
    ]) {
      await damage();
      await isRefused(verify(), 'SEGMENT_DAMAGED', new RegExp(segment));
      expect(await restored(scene.engine, runId)).toMatchObject({ result: { rowsRestored: 0 } });
      await scene.engine.deps.store.prisma.runTable.deleteMany();
      await writeFile(file, whole);
    }
    await writeFile(path.join(folder, `${segment}.again`), whole);
    await scene.isWhole(runId);
  });

  it('needs no ledger: the database may be away, and the ledger gone', async () => {
    runId = await scene.archived(FILES);
    await scene.database.run('DROP SCHEMA declutter CASCADE');
    expect(await verify()).toMatchObject({ ok: true, rowsChecked: 6_000 });
    const away = { ...scene.database.address, port: 1 };
    const connect: EngineDeps['connect'] = (_id, settings) => Session.open(away, settings);
    expect(await verify({ connect })).toMatchObject({ ok: true, rowsChecked: 6_000 });
    await scene.engine.deps.store.prisma.archiveSegment.deleteMany();
    expect(await verify({ connect })).toMatchObject({
      ok: false,
      problems: [{ code: 'SEGMENT_MISSING' }],
    });
  });
});
