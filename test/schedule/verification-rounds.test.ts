import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir, truncate } from 'node:fs/promises';
import path from 'node:path';
import { pacedVerification } from '../../src/archive/paced-verification.ts';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { systemClock } from '../../src/clock.ts';
import { startVerificationRounds } from '../../src/schedule/verification-rounds.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { eventsAfter } from '../../src/store/run-events.ts';
import { takeVerificationTurn } from '../../src/store/verification-turns.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const DAY = 86_400_000;
const ARCHIVE: OperationSpec = {
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'GT', value: '0' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
};

let database: TestDatabase;
let engine: TestEngine;
let runId: string;

beforeAll(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await database.run('CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 500)');
  runId = (await engine.work(await engine.queue({ name: 'item' }, ARCHIVE))).id;
});
afterAll(async () => {
  await engine.close();
  await database.drop();
});

const archive = async () => {
  const found = await findArchiveByRun(engine.deps.store, runId);
  if (!found) throw new TypeError('no archive');
  return found;
};

/** As if its run had ended, and it had last been read, so long ago. */
async function age(ms: number): Promise<void> {
  const then = new Date(Date.now() - ms);
  const { prisma } = engine.deps.store;
  await prisma.run.update({ where: { id: runId }, data: { endedAt: then } });
  await prisma.archive.update({ where: { runId }, data: { checkedAt: then, verifyAfter: null } });
}

describe('archives that are due to be read back', () => {
  it('are taken by one process alone, and not before their time', async () => {
    expect(await takeVerificationTurn(engine.deps.store, DAY)).toBeNull();
    await age(2 * DAY);
    const turns = await Promise.all([1, 2, 3].map(() => takeVerificationTurn(engine.deps.store, DAY)));
    expect(turns.filter((turn) => turn !== null)).toEqual([
      expect.objectContaining({ runId, table: 'item' }),
    ]);
  });

  it('are read by the rounds: whole first, then damaged, with an event of the run', async () => {
    await age(2 * DAY);
    const verified: boolean[] = [];
    const rounds = startVerificationRounds({
      ...engine.deps,
      everyMs: DAY,
      lookMs: 20,
      verify: async (id) => {
        const verification = await pacedVerification(engine.deps, id, 1e9);
        verified.push(verification.ok);
        return verification;
      },
    });
    while (verified.length < 1) await systemClock.sleep(10);
    expect(await archive()).toMatchObject({ problems: [], verifiedAt: expect.any(Date) });
    const { verifiedAt } = await archive();
    const folder = path.join(engine.archiveDir, runId);
    const segment = (await readdir(folder)).find((name) => name !== 'manifest.json') ?? '';
    await truncate(path.join(folder, segment), 10);
    await age(2 * DAY);
    while (verified.length < 2) await systemClock.sleep(10);
    await rounds.stop();
    expect(verified).toEqual([true, false]);
    expect(await archive()).toMatchObject({ verifiedAt, problems: [{ code: 'SEGMENT_DAMAGED' }] });
    const events = await eventsAfter(engine.deps.store, runId, 0, 100);
    expect(events.at(-1)).toMatchObject({ kind: 'ARCHIVE_DAMAGED' });
  });
});
