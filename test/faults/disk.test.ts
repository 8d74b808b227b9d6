import { mkdir, readdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { STORE_ID_FILE } from '../../src/archive/store-id.ts';
import { hurry } from '../support/engine.ts';
import { type FaultScene, faultScene, FILES, ONE_LANE, TABLE, until } from '../support/fault-scene.ts';
import { failing, itWithStrace } from '../support/strace.ts';

let scene: FaultScene;

beforeEach(async () => {
  scene = await faultScene();
});

afterEach(() => scene.close());

const stateOf = async (runId: string) => until(scene.engine, runId, ({ state }) => state !== 'RUNNING');

async function goesOn(runId: string): Promise<void> {
  expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await scene.violations(runId)).toEqual([]);
}

/** Larger files cannot be written; the signal that would come with it is ignored. */
const upTo = (bytes: number) => ['prlimit', `--fsize=${bytes}`, 'sh', '-c', `trap '' XFSZ; exec "$@"`, 'sh'];

describe('an archive store without room', () => {
  it.each([
    ['files may not grow', 10_000],
    ['not even a manifest fits in', 100],
  ])('(%s) has the batch rolled back and the run paused', async (_, bytes) => {
    const runId = await scene.queue(FILES);
    expect(await scene.turn(runId, { under: upTo(bytes) })).toBe(0);
    expect(await stateOf(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'RESOURCE' });
    await goesOn(runId);
  });

  itWithStrace('(no space is left on the device) has the batch rolled back and the run paused', async () => {
    const runId = await scene.queue(FILES);
    expect(await scene.turn(runId, { under: failing('pwrite64', 'ENOSPC', 3) })).toBe(0);
    expect(await stateOf(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'RESOURCE' });
    await goesOn(runId);
  });
});

describe('a disk that fails', () => {
  itWithStrace.each([
    ['to write', 'pwrite64', 'EIO', 3],
    ['to make durable what was written', 'fdatasync', 'EIO', 3],
    ['to give a segment its name', 'rename', 'EACCES', 2],
    ['to give a manifest its name', 'rename', 'EXDEV', 1],
    ['to make a manifest durable', 'fsync', 'EIO', 1],
    ['to make the name of a segment durable', 'fsync', 'EIO', 3],
  ])('%s (%s: %s) loses nothing', async (_, call, error, when) => {
    const runId = await scene.queue(FILES);
    expect(await scene.turn(runId, { under: failing(call, error, when) })).toBe(0);
    const { state, stateCode } = await stateOf(runId);
    if (state === 'SUCCEEDED') return expect(await scene.violations(runId)).toEqual([]);
    expect({ state, stateCode }).toEqual({ state: 'PAUSED', stateCode: 'ARCHIVE_STORE' });
    await goesOn(runId);
  });

  itWithStrace(
    'to make a segment durable has it copied to a new file, and never asks twice for the old one',
    async () => {
      const runId = await scene.queue(FILES);
      expect(await scene.turn(runId, { under: failing('fdatasync', 'EIO', 3) })).toBe(0);
      expect(await stateOf(runId)).toMatchObject({ state: 'SUCCEEDED' });
      const segments = await scene.database.run('SELECT location FROM declutter.segment');
      expect(segments).toEqual([{ location: expect.stringMatching(/000001-f2\./) }]);
      expect(await scene.violations(runId)).toEqual([]);
    },
  );
});

describe('a take-over', () => {
  it('that finds other bytes than the ledger says keeps no file open', async () => {
    const { archiveDir } = scene.engine;
    const runId = await scene.queue(FILES);
    expect(await scene.turn(runId, { failpoints: 'batch.committed=kill@3' })).toBe('SIGKILL');
    const [open = ''] = (await readdir(`${archiveDir}/${runId}`)).filter((name) => name.endsWith('.open'));
    await writeFile(`${archiveDir}/${runId}/${open}`, 'x', { flag: 'r+' });
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'FAILED', stateCode: 'ARCHIVE_DAMAGED' });
    const handles = await readdir('/proc/self/fd');
    const files = await Promise.all(handles.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    expect(files.filter((file) => file.startsWith(archiveDir))).toEqual([]);
  });
});

describe('a folder', () => {
  it('that is taken away while rows are archived to it makes the run rest or pause until it is back', async () => {
    const { archiveDir } = scene.engine;
    const runId = await scene.queue(FILES, { throttle: { ...ONE_LANE, dutyCycle: 0.08 } });
    const work = scene.engine.work(runId);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await rename(archiveDir, `${archiveDir}-away`);
    const run = await until(
      scene.engine,
      runId,
      ({ state, throttle }) => state === 'PAUSED' || throttle.active,
    );
    await rm(archiveDir, { recursive: true, force: true });
    await rename(`${archiveDir}-away`, archiveDir);
    await hurry(scene.engine, runId);
    if (run.state === 'RUNNING') expect(await work).toMatchObject({ state: 'SUCCEEDED' });
    else expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it.each([
    ['an empty one', null],
    ['the one of another installation', 'another'],
  ])('whose place is taken by %s, as by a mount, gets no row, and loses none', async (_, id) => {
    const { archiveDir } = scene.engine;
    const runId = await scene.queue(FILES);
    expect(await scene.turn(runId, { failpoints: 'batch.committed=kill@3' })).toBe('SIGKILL');
    await rename(archiveDir, `${archiveDir}-away`);
    await mkdir(archiveDir);
    if (id !== null) await writeFile(`${archiveDir}/${STORE_ID_FILE}`, id);
    expect(await scene.takeOver(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'ARCHIVE_STORE',
      stateReason: expect.stringContaining(STORE_ID_FILE),
    });
    expect(await readdir(archiveDir)).toEqual(id === null ? [] : [STORE_ID_FILE]);
    const [left] = await scene.database.run('SELECT count(*)::int AS n FROM event WHERE old');
    expect(left?.['n']).toBeGreaterThan(1_000);
    await rm(archiveDir, { recursive: true });
    await rename(`${archiveDir}-away`, archiveDir);
    await goesOn(runId);
  });

  it('whose files are removed while rows are archived to them takes no more', async () => {
    const { archiveDir } = scene.engine;
    const runId = await scene.queue(FILES, { throttle: { ...ONE_LANE, dutyCycle: 0.08 } });
    const work = scene.engine.work(runId);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await rm(`${archiveDir}/${runId}`, { recursive: true });
    expect(await work).toMatchObject({ state: 'PAUSED' });
    const [left] = await scene.database.run('SELECT count(*)::int AS n FROM event WHERE old');
    expect(left?.['n']).toBeGreaterThan(1_000);
  });
});

describe('a database without room', () => {
  it('has the batch rolled back and the run paused', async () => {
    await scene.database.run(`
      CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF EXISTS (SELECT FROM fullness) THEN RAISE 'no space left' USING ERRCODE = '53100'; END IF; RETURN OLD; END $$;
      CREATE TABLE fullness (); INSERT INTO fullness DEFAULT VALUES;
      CREATE TRIGGER full_disk BEFORE DELETE ON event FOR EACH ROW WHEN (OLD.id = 3000) EXECUTE FUNCTION full_disk()`);
    const runId = await scene.queue(TABLE);
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'RESOURCE' });
    await scene.database.run('DELETE FROM fullness');
    await goesOn(runId);
  });
});
