import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { sequenceExhaustion } from '../../src/analysis/kinds/sequence-exhaustion.ts';
import { runAnalysis } from '../../src/analysis/run-analysis.ts';
import { systemClock } from '../../src/clock.ts';
import { keptFindings, keptTables } from '../../src/store/memory.ts';
import { Session } from '../../src/target/session.ts';
import { type TestDatabase, testDatabase, testStore } from '../support/postgres.ts';

const HOUR_MS = 3_600_000;

describe('what analyses remember', () => {
  let target: TestDatabase;
  let store: Awaited<ReturnType<typeof testStore>>;
  const id = randomUUID();
  const start = new Date('2026-01-01T00:00:00Z').getTime();

  /** As if so many hours had gone by since the first one. */
  const analyseAfter = (hours: number) =>
    runAnalysis(
      {
        store: store.store,
        connect: (_, settings) => Session.open(target.address, settings),
        replicas: async () => [],
        analyses: [sequenceExhaustion],
        clock: { ...systemClock, now: () => new Date(start + hours * HOUR_MS) },
        log: pino({ level: 'silent' }),
      },
      { id, name: 'shop' },
      false,
    );
  const evidence = async () => (await keptFindings(store.store, id, 'SEQUENCE_EXHAUSTION'))[0]!.evidence;

  beforeAll(async () => {
    [target, store] = await Promise.all([testDatabase(), testStore()]);
    await store.store.prisma.database.create({
      data: {
        id,
        name: 'shop',
        host: 'h',
        port: 1,
        database: 'd',
        user: 'u',
        tls: 'DISABLE',
        environment: 'STAGING',
        createdBy: 'test',
      },
    });
    await target.run(`CREATE TABLE "Order" (id serial); SELECT setval('"Order_id_seq"', 1500000000)`);
  });

  afterAll(async () => {
    await target.drop();
    await store.close();
  });

  it('is nothing before the first analysis', async () => {
    expect(await keptFindings(store.store, id, 'SEQUENCE_EXHAUSTION')).toEqual([]);
    expect(await keptTables(store.store, id, new Date())).toBeNull();
  });

  it('gives a sequence its pace from the second analysis on', async () => {
    await analyseAfter(0);
    expect(await evidence()).toMatchObject({ runsOutOn: null, last: '1500000000' });
    await target.run(`SELECT setval('"Order_id_seq"', 1501000000)`);
    await analyseAfter(48);
    const days = (2_147_483_647 - 1_501_000_000) / 500_000;
    const ends = new Date(start + 48 * HOUR_MS + days * 24 * HOUR_MS).toISOString().slice(0, 10);
    expect(await evidence()).toMatchObject({ runsOutOn: ends, perDay: 500_000 });
  });

  it('has the tables of the newest snapshot that is old enough', async () => {
    await target.run('CREATE TABLE late (id int)');
    await analyseAfter(72);
    const names = async (hours: number) =>
      (await keptTables(store.store, id, new Date(start + hours * HOUR_MS)))?.map(({ name }) => name).sort();
    expect(await names(-1)).toBeUndefined();
    expect(await names(50)).toEqual(['Order']);
    expect(await names(72)).toEqual(['Order', 'late']);
  });
});
