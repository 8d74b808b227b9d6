import { readdir, readFile, truncate } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import {
  type FaultScene,
  faultScene,
  FILES,
  loseLease,
  ONE_LANE,
  PURGE,
  TABLE,
  TWO_LANES,
} from '../support/fault-scene.ts';
import { ensureLedger } from '../../src/target/ledger-tables.ts';
import { BATCH_SETTINGS } from '../../src/target/session.ts';
import { fingerprintOf } from '../support/fingerprint.ts';

let scene: FaultScene;

beforeEach(async () => {
  scene = await faultScene();
});

afterEach(() => scene.close());

const batches = async () =>
  Number((await scene.database.run('SELECT count(*) AS n FROM declutter.batch'))[0]?.['n']);

async function isKilled(runId: string, failpoints: string): Promise<void> {
  expect(await scene.turn(runId, { failpoints })).toBe('SIGKILL');
}

async function isFinishedByAnother(runId: string): Promise<void> {
  expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await scene.violations(runId)).toEqual([]);
}

const orphansOf = (runId: string) =>
  readdir(path.join(scene.engine.archiveDir, 'orphans')).then(
    (names) => names.filter((name) => name.startsWith(runId)),
    () => [],
  );

describe('a worker that archives to files, killed with -9', () => {
  it.each([
    ['after it has picked its rows', 'batch.opened'],
    ['after the rows are deleted', 'batch.treated'],
    ['when the bytes are written and not durable', 'segment.written'],
    ['after the bytes are durable', 'segment.synced'],
    ['after they are read back', 'segment.read-back'],
    ['before it sends the entry of the ledger', 'batch.stored'],
  ])('%s, leaves the batches before', async (_, failpoint) => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, `${failpoint}=kill@3`);
    expect(await batches()).toBeLessThan(3);
    await isFinishedByAnother(runId);
    expect((await orphansOf(runId)).length).toBeLessThanOrEqual(1);
  });

  it('once the commit has come back, leaves that batch too', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'batch.committed=kill@3');
    expect(await batches()).toBe(3);
    await isFinishedByAnother(runId);
  });

  it('when the commit has been sent, has committed or not, and both are right', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'batch.commit-sent=kill@3');
    expect([2, 3]).toContain(await batches());
    await isFinishedByAnother(runId);
  });

  it('while the server writes the entry of the ledger, has committed all the same', async () => {
    const session = await scene.database.session(BATCH_SETTINGS);
    await ensureLedger(session);
    await scene.database.run(`
      CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$;
      CREATE TRIGGER linger BEFORE INSERT ON declutter.batch FOR EACH ROW WHEN (NEW.number = 3) EXECUTE FUNCTION linger()`);
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'batch.commit-sent=kill@3');
    expect(await batches()).toBe(2);
    await isFinishedByAnother(runId);
    const fences = await scene.database.run(
      'SELECT fence::int FROM declutter.batch WHERE number IN (3, 4) ORDER BY number',
    );
    expect(fences).toEqual([{ fence: 1 }, { fence: 2 }]);
  });

  it('in the middle of a frame: half of it lies behind what counts', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'segment.written=kill@3');
    const folder = path.join(scene.engine.archiveDir, runId);
    const [open = ''] = (await readdir(folder)).filter((name) => name.endsWith('.open'));
    const { length } = await readFile(path.join(folder, open));
    const [counted] = await scene.database.run(
      'SELECT sum(length)::int AS bytes FROM declutter.batch WHERE sha256 IS NOT NULL',
    );
    const bytes = Number(counted?.['bytes']);
    expect(length).toBeGreaterThan(bytes);
    await truncate(path.join(folder, open), bytes + ((length - bytes) >> 1));
    await isFinishedByAnother(runId);
  });

  it('after a segment got its final name, has its file taken over under that name', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'segment.renamed=kill');
    await isFinishedByAnother(runId);
  });

  it('while it writes the manifest, leaves the one before', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'manifest.written=kill@2');
    const text = await readFile(path.join(scene.engine.archiveDir, runId, 'manifest.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ run: runId, rows: 0, segments: [] });
    await isFinishedByAnother(runId);
  });

  it.each(['archive.listing=kill@2', 'run.ending=kill'])(
    'when the control store does not know yet (%s), has its figures drawn from the ledger',
    async (failpoint) => {
      const runId = await scene.queue(FILES);
      await isKilled(runId, failpoint);
      await isFinishedByAnother(runId);
    },
  );

  it('and its successors too, while they take over', async () => {
    const runId = await scene.queue(FILES);
    await isKilled(runId, 'batch.committed=kill@3');
    for (const failpoint of ['takeover.fenced=kill', 'takeover.copying=kill@2', 'archive.listing=kill']) {
      await loseLease(scene.engine, runId);
      await isKilled(runId, failpoint);
    }
    await isFinishedByAnother(runId);
  });
});

describe('a worker with two batches under way, killed with -9', () => {
  it.each(['batch.treated=kill@4', 'segment.synced=kill@3', 'batch.commit-sent=kill@3'])(
    'at %s, leaves no gap between what was committed',
    async (failpoint) => {
      const runId = await scene.queue(FILES, { throttle: TWO_LANES });
      await isKilled(runId, failpoint);
      await isFinishedByAnother(runId);
    },
  );
});

describe.each<[string, OperationSpec]>([
  ['archives to a table', TABLE],
  ['purges', PURGE],
])('a worker that %s, killed with -9', (_, operation) => {
  it.each(['batch.treated=kill@3', 'batch.commit-sent=kill@3', 'batch.committed=kill@3'])(
    'at %s, loses nothing',
    async (failpoint) => {
      const runId = await scene.queue(operation, { throttle: ONE_LANE });
      await isKilled(runId, failpoint);
      await isFinishedByAnother(runId);
    },
  );
});

describe('a worker that restores, killed with -9', () => {
  it.each(['batch.treated=kill@3', 'batch.commit-sent=kill@3', 'batch.committed=kill@3'])(
    'at %s, puts each row back once',
    async (failpoint) => {
      const before = await fingerprintOf(scene.database, 'SELECT * FROM event');
      const runId = await scene.queue(FILES);
      await scene.engine.work(runId);
      const restoreId = await scene.queueRestore(runId);
      await isKilled(restoreId, failpoint);
      expect(await scene.takeOver(restoreId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await fingerprintOf(scene.database, 'SELECT * FROM event')).toEqual(before);
    },
  );
});
