import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { allRows, type Before, makeEvents } from '../support/fault-scene.ts';
import { archiveNaively, NAIVE_ORDERS, type NaiveJob } from '../support/naive-archive.ts';
import { rowViolations } from '../support/nothing-lost.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let archiveDir: string;
let before: Before;
let job: Omit<NaiveJob, 'order'>;

beforeEach(async () => {
  database = await testDatabase();
  archiveDir = await mkdtemp(path.join(tmpdir(), 'declutter-naive-'));
  await makeEvents(database, 1_000);
  before = await allRows(database);
  job = { url: database.url, archiveDir, runId: randomUUID(), table: 'event', where: 'old', batchRows: 100 };
});

afterEach(async () => {
  await database.drop();
  await rm(archiveDir, { recursive: true });
});

const violations = () => rowViolations(database, { ...job, destination: 'FILES', before });

/** Fails once, as a process that is killed does not go on; then the job is begun anew. */
async function diesAndBeginsAnew(order: NaiveJob['order'], at: number): Promise<void> {
  let passed = 0;
  const die = () => {
    passed += 1;
    return passed === at ? Promise.reject(new Error('killed')) : Promise.resolve();
  };
  await expect(archiveNaively({ ...job, order }, die)).rejects.toThrow('killed');
  await archiveNaively({ ...job, order }, die);
}

describe('a naive archive', () => {
  it.each(NAIVE_ORDERS)('(%s) is found to be right where nothing goes wrong', async (order) => {
    await archiveNaively({ ...job, order }, () => Promise.resolve());
    expect(await violations()).toEqual([]);
  });

  it('that writes after its commit is found to have lost rows when it was killed in between', async () => {
    await diesAndBeginsAnew('DELETE_FIRST', 2);
    expect(await violations()).toEqual([expect.stringMatching(/^live and archived rows: .*"rows":900,/)]);
  });

  it('that copies before it deletes is found to have rows twice when it was killed in between', async () => {
    await diesAndBeginsAnew('COPY_FIRST', 2);
    expect(await violations()).toEqual([
      expect.stringMatching(/^live and archived rows: .*"rows":1100,/),
      expect.stringMatching(/^keys that are there twice/),
    ]);
  });

  it('that deletes by its filter is found to have lost a row that came to match in between', async () => {
    await database.run('UPDATE event SET old = false WHERE id = 10');
    const rescue = () => database.run('UPDATE event SET old = true WHERE id = 10').then(() => undefined);
    await archiveNaively({ ...job, order: 'COPY_FIRST' }, rescue);
    expect(await violations()).toEqual([expect.stringMatching(/^live and archived rows/)]);
  });
});
