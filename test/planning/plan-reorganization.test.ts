import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReorganizationMethod } from '../../src/domain/words.ts';
import type { PlanReorganizationInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { debianDatabase, itOnDebian } from '../support/postgres.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const OPTIONS = 'WITH (autovacuum_enabled = false)';

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);
const warnings = (plan: PlanView) => plan.forecast.warnings.map(({ code }) => code);
const methodOf = ({ spec }: PlanView) => (spec.operation as { method?: string }).method;

const planBy =
  (planning: () => Planning) =>
  (table: string, method: ReorganizationMethod, change: Partial<PlanReorganizationInput> = {}) =>
    planning().plans.reorganization(
      { database: 'shop', schema: 'public', table, method, ...change },
      OPERATOR,
    );

describe('the plan of a reorganization', () => {
  let planning: Planning;
  const reorganize = planBy(() => planning);

  beforeAll(async () => {
    planning = await makePlanning({
      environment: 'PRODUCTION',
      sql: `CREATE TABLE holed (id int PRIMARY KEY, note text) ${OPTIONS}; INSERT INTO holed SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
        CREATE INDEX holed_note ON holed (note, id); DELETE FROM holed WHERE id % 5 > 1;
        CREATE TABLE fan (id int PRIMARY KEY, note text) ${OPTIONS}; INSERT INTO fan SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
        CREATE INDEX fan_note ON fan (note); UPDATE fan SET note = note || '!'; UPDATE fan SET note = note || '?';
        CREATE TABLE moved (id int PRIMARY KEY, n int) ${OPTIONS}; INSERT INTO moved SELECT i, i FROM generate_series(1, 40000) i; CREATE INDEX moved_n ON moved (n);
        CREATE TABLE keyless (id int) ${OPTIONS}; CREATE INDEX keyless_id ON keyless (id);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'keyless_id'::regclass;
        CREATE TABLE aged (id int PRIMARY KEY) ${OPTIONS}; INSERT INTO aged SELECT generate_series(1, 10);
        CREATE UNLOGGED TABLE volatile (id int PRIMARY KEY); CREATE TABLE told (id int PRIMARY KEY); CREATE PUBLICATION news FOR TABLE told;
        CREATE INDEX told_part ON told (id) WHERE id > 5; CREATE INDEX told_hash ON told USING hash (id)`,
    });
    for (const sql of [
      'VACUUM holed',
      'VACUUM FULL fan',
      'VACUUM (ANALYZE)',
      'SELECT pg_stat_force_next_flush()',
    ])
      await planning.target.run(sql);
    await planning.target.run('ANALYZE holed; ANALYZE fan');
  });
  afterAll(() => planning.close());

  it('moves rows within a table of which much is free, and says why', async () => {
    const plan = await reorganize('holed', 'AUTO');
    expect([methodOf(plan), plan.state]).toEqual(['COMPACT', 'READY']);
    expect(plan.forecast.warnings[0]!.message).toMatch(
      /^AUTO chose COMPACT: .* of public\.holed lie free \(\d\d %\)/,
    );
  });

  it('does nothing where little would come of it', async () => {
    const plan = await reorganize('fan', 'AUTO');
    expect(warnings(plan)).toEqual(['NOTHING_TO_DO']);
    expect(plan.forecast.warnings[0]!.message).toContain('neither VACUUM nor ANALYZE would help');
  });

  it('freezes first where wraparound is near', async () => {
    await planning.target.run(
      `UPDATE pg_class SET relfrozenxid = ((txid_current() + 2 ^ 32::bigint - 190000000)::numeric % 2 ^ 32::numeric)::bigint::text::xid WHERE oid = 'aged'::regclass`,
    );
    const plan = await reorganize('aged', 'AUTO');
    expect(plan.spec.operation).toMatchObject({ method: 'VACUUM', settings: { freeze: true } });
    expect(plan.forecast.warnings[0]!.message).toMatch(/^AUTO chose VACUUM: .* against wraparound/);
  });

  it('rebuilds indexes where only they are bloated', async () => {
    // Slice by slice, so that the table's own space is used again; one row in twenty stays and keeps its page of the index.
    for (const [pass, last] of [17, 16].entries())
      for (let slice = 0; slice <= last; slice++) {
        await planning.target.run(
          `UPDATE moved SET n = n + 100000 WHERE n / 100000 = ${pass} AND id % 18 = ${slice} AND id % 20 > 0`,
        );
        await planning.target.run('VACUUM (INDEX_CLEANUP ON) moved');
      }
    await planning.target.run('SELECT pg_stat_force_next_flush()');
    await planning.target.run('SELECT 1');
    await planning.target.run('VACUUM (INDEX_CLEANUP ON, ANALYZE) moved');
    const plan = await reorganize('moved', 'AUTO');
    expect(plan.forecast.warnings[0]!.message).toMatch(/^AUTO chose REINDEX: .* moved_n/);
    expect(plan.kind).toBe('REINDEX');
  });

  it('rewrites under a lock only when asked, with somebody else’s yes on PRODUCTION, and says how long all wait', async () => {
    const full = await reorganize('holed', 'VACUUM_FULL');
    expect([methodOf(full), full.state, codes(full)]).toEqual(['VACUUM_FULL', 'NEEDS_APPROVAL', []]);
    expect(full.forecast.locks).toEqual([
      { relation: 'public.holed', mode: 'ACCESS EXCLUSIVE', longestMs: expect.any(Number) },
    ]);
    expect(warnings(full)).toContain('TABLE_LOCKED');
    const cluster = await reorganize('holed', 'CLUSTER', { index: 'holed_note' });
    expect([methodOf(cluster), cluster.state]).toEqual(['CLUSTER', 'NEEDS_APPROVAL']);
    expect(cluster.forecast.steps.at(-1)!.sql).toBe('CLUSTER "public"."holed" USING "holed_note"');
    await expect(reorganize('holed', 'CLUSTER')).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    await expect(reorganize('holed', 'CLUSTER', { index: 'told_part' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    for (const index of ['told_part', 'told_hash'])
      expect(codes(await reorganize('told', 'CLUSTER', { index }))).toEqual(['INDEX_UNFIT']);
  });

  it('compares what it needs on the disk with what is free', async () => {
    const here = await reorganize('holed', 'VACUUM_FULL');
    expect(here.forecast.impact.diskFreeBytes).toBeGreaterThan(1_000_000);
    expect(here.forecast.impact.diskNeededBytes).toBeGreaterThan(500_000);
    const short = await reorganize('holed', 'VACUUM_FULL', { diskFreeBytes: 100_000 });
    expect([short.state, codes(short)]).toEqual(['BLOCKED', ['DISK_SHORT']]);
    expect(short.forecast.impact.diskFreeBytes).toBe(100_000);
    await expect(reorganize('holed', 'VACUUM_FULL', { diskFreeBytes: -1 })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });

  it('names what would make a repack fail or harm others', async () => {
    expect(codes(await reorganize('holed', 'REPACK'))).toEqual(['REPACK_UNAVAILABLE']);
    expect(codes(await reorganize('keyless', 'REPACK'))).toEqual([
      'REPACK_UNAVAILABLE',
      'INVALID_INDEX',
      'REPACK_NO_KEY',
    ]);
    expect(codes(await reorganize('volatile', 'REPACK'))).toContain('REPACK_UNLOGGED');
    expect(codes(await reorganize('told', 'REPACK'))).toContain('REPACK_PUBLISHED');
  });

  it('is stale once the index of its order is gone', async () => {
    await planning.target.run('CREATE INDEX passing ON holed (note)');
    const plan = await reorganize('holed', 'CLUSTER', { index: 'passing' });
    await planning.store.prisma.plan.update({ where: { id: plan.id }, data: { state: 'APPROVED' } });
    await planning.checkFresh({ ...plan, state: 'APPROVED' });
    await planning.target.run('DROP INDEX passing');
    await expect(planning.checkFresh({ ...plan, state: 'APPROVED' })).rejects.toThrow(/passing was dropped/);
  });
});

describe('the plan of a reorganization by a role with few rights', () => {
  it('says that the room on the disk is not known, and takes what people say', async () => {
    const planning = await makePlanning({
      role: 'owner_$db',
      sql: `CREATE ROLE owner_$db LOGIN PASSWORD '$password'; GRANT CREATE ON DATABASE $db TO owner_$db; GRANT ALL ON SCHEMA public TO owner_$db;
        CREATE TABLE mine (id int PRIMARY KEY, note text); INSERT INTO mine SELECT i, md5(i::text) FROM generate_series(1, 5000) i; ALTER TABLE mine OWNER TO owner_$db`,
    });
    try {
      const reorganize = planBy(() => planning);
      const unknown = await reorganize('mine', 'VACUUM_FULL');
      expect([unknown.state, unknown.forecast.impact.diskFreeBytes]).toEqual(['READY', null]);
      expect(warnings(unknown)).toContain('DISK_UNKNOWN');
      const stated = await reorganize('mine', 'VACUUM_FULL', { diskFreeBytes: 2 ** 30 });
      expect(warnings(stated)).not.toContain('DISK_UNKNOWN');
    } finally {
      await planning.close();
    }
  });
});

describe('the plan of a repack', () => {
  itOnDebian('is what AUTO makes where rows cannot be moved within the table', async () => {
    const planning = await makePlanning({
      database: debianDatabase,
      sql: `CREATE EXTENSION pg_repack; CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE fired (id int PRIMARY KEY, note text) ${OPTIONS}; INSERT INTO fired SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
        CREATE TRIGGER touch BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION touch(); DELETE FROM fired WHERE id % 5 > 1`,
    });
    try {
      await planning.target.run('VACUUM ANALYZE fired');
      const plan = await planBy(() => planning)('fired', 'AUTO');
      expect([methodOf(plan), plan.state]).toEqual(['REPACK', 'READY']);
      expect(plan.forecast.warnings[0]!.message).toMatch(
        /^AUTO chose REPACK: .*COMPACT is not for it: .*touch/,
      );
    } finally {
      await planning.close();
    }
  });

  itOnDebian('is ready where extension and program fit, and finds what a killed one has left', async () => {
    const planning = await makePlanning({
      database: debianDatabase,
      sql: `CREATE EXTENSION pg_repack; CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item SELECT i, 'x' FROM generate_series(1, 1000) i;
        CREATE TABLE kept (id int PRIMARY KEY)`,
    });
    try {
      const reorganize = planBy(() => planning);
      const plan = await reorganize('item', 'REPACK');
      expect([plan.state, codes(plan), warnings(plan)]).toEqual(['READY', [], []]);
      expect(plan.spec.operation).toMatchObject({ by: { tool: 'PG_REPACK', version: '1.4.8' } });
      expect(plan.forecast.steps.at(-1)!.sql).toMatch(/^pg_repack --no-kill-backend --wait-timeout=\d/);
      await planning.target.run(
        `CREATE TABLE kept_log (id bigint); DO $$ BEGIN EXECUTE format('ALTER TABLE kept_log SET SCHEMA repack; ALTER TABLE repack.kept_log RENAME TO log_%s', 'kept'::regclass::oid); END $$`,
      );
      expect(warnings(await reorganize('kept', 'REPACK'))).toEqual(['REPACK_LEFTOVERS']);
      await planning.target.run('CREATE PUBLICATION all_of_them FOR ALL TABLES');
      await expect(planning.checkFresh(plan)).rejects.toThrow(/all_of_them/);
    } finally {
      await planning.close();
    }
  });
});
