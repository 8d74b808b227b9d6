import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ANALYSES } from '../../src/analysis/analysis-registry.ts';
import { runAnalysis } from '../../src/analysis/run-analysis.ts';
import { systemClock } from '../../src/clock.ts';
import type { NotJudged } from '../../src/domain/finding.ts';
import { makeLog } from '../../src/log.ts';
import { Session } from '../../src/target/session.ts';
import { type TestDatabase, testDatabase, testStore } from '../support/postgres.ts';
import { registerRow } from '../support/registered.ts';
import { inTurn } from './support.ts';

let target: TestDatabase;
let store: Awaited<ReturnType<typeof testStore>>;

beforeAll(async () => {
  [target, store] = await Promise.all([testDatabase(), testStore()]);
  await inTurn(
    target,
    'CREATE TABLE item (id int PRIMARY KEY, email text NOT NULL, created_at timestamptz)',
    `INSERT INTO item SELECT i, 'name' || i % 4900 || '@example.org', now() - i * interval '1 hour' FROM generate_series(1, 5000) i`,
    'VACUUM ANALYZE item',
  );
});
afterAll(async () => {
  await Promise.all([target.drop(), store.close()]);
});

async function analyze(user?: string) {
  const address = user
    ? { ...target.address, user, password: () => Promise.resolve('secret') }
    : target.address;
  return runAnalysis(
    {
      store: store.store,
      connect: (_, settings) => Session.open(address, settings),
      replicas: () => Promise.resolve([]),
      analyses: ANALYSES,
      clock: systemClock,
      log: makeLog('silent'),
    },
    { id: await registerRow(store.store, randomUUID()), name: 'shop' },
    false,
  );
}

const ofRows = (notJudged: readonly NotJudged[]) =>
  notJudged.filter(({ kind }) => ['DUPLICATE_ROWS', 'OBSOLETE_ROWS'].includes(kind));

describe('what a snapshot could not judge', () => {
  it('is told with the right that would help, as a role that may only monitor', async () => {
    const role = `watch_${target.name}`;
    await target.run(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT pg_monitor TO ${role}`);
    const { notJudged } = await analyze(role);
    const rows = ofRows(notJudged);
    expect(rows.map(({ kind }) => kind)).toEqual(['OBSOLETE_ROWS', 'DUPLICATE_ROWS']);
    for (const one of rows) {
      expect(one).toMatchObject({ subjects: 1, example: 'public.item' });
      expect(one.reason).toMatch(/GRANT SELECT/);
    }
    const kept = await store.store.prisma.snapshot.findFirstOrThrow({ orderBy: { takenAt: 'desc' } });
    expect(kept.notJudged).toEqual(notJudged);
    await target.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it('is nothing of these where the rows may be read', async () => {
    expect(ofRows((await analyze()).notJudged)).toEqual([]);
  });
});
