import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanView } from '../../src/store/plans.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const ROWS = 8_000;
let planning: Planning;

/** 60 % of each lies free, but for those that say otherwise. */
beforeAll(async () => {
  planning = await makePlanning({
    sql: `
      CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := now(); RETURN NEW; END';
      CREATE TABLE plain (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text, n int, note text) WITH (autovacuum_enabled = false);
      CREATE INDEX plain_kind ON plain (kind);
      ${['fired', 'watched', 'skipping', 'unsure', 'published', 'fixed', 'dense', 'toasted']
        .map((name) => `CREATE TABLE ${name} (LIKE plain INCLUDING ALL) WITH (autovacuum_enabled = false);`)
        .join('\n')}
      ALTER TABLE watched ADD twice int GENERATED ALWAYS AS (id * 2) STORED;
      ${['plain', 'fired', 'watched', 'skipping', 'unsure', 'published', 'dense']
        .map(
          (name) =>
            `INSERT INTO ${name} (kind, n, note) SELECT 'k', i, repeat('x', 80) FROM generate_series(1, ${ROWS}) i;`,
        )
        .join('\n')}
      INSERT INTO toasted (kind, n, note) SELECT 'k', i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 150) j) FROM generate_series(1, 3000) i;
      DELETE FROM plain WHERE id % 5 < 3; DELETE FROM fired WHERE id % 5 < 3; DELETE FROM watched WHERE id % 5 < 3; DELETE FROM skipping WHERE id % 5 < 3;
      DELETE FROM unsure WHERE id % 5 < 3; DELETE FROM published WHERE id % 5 < 3; DELETE FROM dense WHERE id % 50 = 0;
      UPDATE toasted SET note = 'short' WHERE id % 5 < 3;
      CREATE TRIGGER touch BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION touch();
      CREATE TRIGGER touch BEFORE UPDATE OF n ON watched FOR EACH ROW EXECUTE FUNCTION touch();
      CREATE TRIGGER skip BEFORE UPDATE ON skipping FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
      ALTER TABLE unsure ADD CONSTRAINT small CHECK (n < 10) NOT VALID;
      ALTER TABLE published DROP CONSTRAINT published_pkey; CREATE PUBLICATION everything FOR TABLE published;
      CREATE TABLE kind (kind text PRIMARY KEY); INSERT INTO kind VALUES ('k'); ALTER TABLE plain ADD FOREIGN KEY (kind) REFERENCES kind;
      CREATE TABLE whole (id int, note text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF whole (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (${ROWS});
      INSERT INTO part SELECT i, repeat('x', 80) FROM generate_series(1, ${ROWS - 1}) i; DELETE FROM part WHERE id % 5 < 3;
      CREATE PUBLICATION through_root FOR TABLE whole WITH (publish_via_partition_root = true);
      DROP TABLE fixed; CREATE TABLE fixed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);`,
  });
  await planning.target.run('VACUUM ANALYZE');
});
afterAll(() => planning.close());

const compact = (table: string, acknowledgeTriggers = false) =>
  planning.plans.reorganization(
    { database: 'shop', schema: 'public', table, method: 'COMPACT', acknowledgeTriggers },
    OPERATOR,
  );
const codes = ({ forecast }: PlanView) => forecast.blockers.map(({ code }) => code);
const message = ({ forecast }: PlanView) => forecast.blockers.map((blocker) => blocker.message).join(' ');

describe('the plan of a compaction', () => {
  it('says how many rows move, what that takes, and which indexes are rebuilt', async () => {
    const plan = await compact('plain');
    expect(plan).toMatchObject({ state: 'READY', kind: 'REORGANIZATION' });
    expect(plan.spec.operation).toMatchObject({
      method: 'COMPACT',
      column: 'n',
      indexes: [{ name: 'plain_kind' }, { name: 'plain_pkey' }],
    });
    const { impact, steps, locks } = plan.forecast;
    expect(impact.rows).toBeGreaterThan(0.5 * 0.4 * ROWS);
    expect(impact.rows).toBeLessThan(0.7 * 0.4 * ROWS);
    expect(impact.rowsAreExact).toBe(false);
    expect([impact.estimatedSeconds, impact.walBytes, impact.diskNeededBytes, impact.bytesReclaimed]).toEqual(
      Array(4).fill(expect.any(Number)),
    );
    expect(impact.bytesReclaimed).toBeGreaterThan(300_000);
    expect(steps.map(({ sql }) => sql).filter((sql) => sql.startsWith('REINDEX'))).toHaveLength(2);
    expect(locks).toContainEqual({
      relation: 'public.plain',
      mode: expect.stringMatching(/^ACCESS EXCLUSIVE/),
      longestMs: null,
    });
    expect(locks).toContainEqual({
      relation: 'public.kind',
      mode: expect.stringMatching(/FOR KEY SHARE/),
      longestMs: expect.any(Number),
    });
    expect(plan.forecast.warnings.map(({ code }) => code)).toEqual(['ROWS_MOVE']);
  });

  it('is refused where triggers would fire, unless that is acknowledged', async () => {
    const refused = await compact('fired');
    expect([refused.state, codes(refused)]).toEqual(['BLOCKED', ['TRIGGERS_FIRE']]);
    const meant = await compact('fired', true);
    expect([meant.state, codes(meant)]).toEqual(['READY', []]);
    expect(meant.forecast.effects).toMatchObject([{ effect: 'TRIGGER', rows: meant.forecast.impact.rows }]);
    expect(codes(await compact('skipping', true))).toEqual(['UPDATES_SUPPRESSED']);
  });

  it('moves rows by a column that no trigger watches', async () => {
    const plan = await compact('watched');
    expect([codes(plan), plan.spec.operation, plan.forecast.effects]).toEqual([
      [],
      expect.objectContaining({ column: 'kind' }),
      [],
    ]);
    // The trigger does not fire; PostgreSQL computes the column all the same.
    expect(plan.forecast.warnings).toContainEqual(
      expect.objectContaining({ code: 'GENERATED_COLUMNS', message: expect.stringMatching(/: twice\.$/) }),
    );
  });

  it('is refused where updates would fail', async () => {
    expect(codes(await compact('unsure'))).toEqual(['UNVALIDATED']);
    expect(codes(await compact('published'))).toEqual(['PUBLICATION_IDENTITY']);
  });

  it('says that whole rows go to the subscribers of a partition, also where it is published through its root', async () => {
    const plan = await compact('part');
    expect([plan.state, codes(plan)]).toEqual(['READY', []]);
    expect(plan.forecast.warnings).toContainEqual(
      expect.objectContaining({
        code: 'PUBLICATION',
        message: expect.stringMatching(/through_root as an update of the whole row/),
      }),
    );
    const repack = await planning.plans.reorganization(
      { database: 'shop', schema: 'public', table: 'part', method: 'REPACK' },
      OPERATOR,
    );
    expect(codes(repack)).toContain('REPACK_PUBLISHED');
    const where = { column: 'id', op: 'LT' as const, value: '10' };
    const purge = await planning.plans.purge(
      { database: 'shop', schema: 'public', table: 'part', where, dependents: 'REFUSE' },
      OPERATOR,
    );
    expect(purge.forecast.warnings).toContainEqual(
      expect.objectContaining({ code: 'PUBLICATION', message: expect.stringMatching(/of through_root\.$/) }),
    );
  });

  it('is refused where it cannot win, with the reason and what would', async () => {
    const [dense, toasted, fixed] = [
      await compact('dense'),
      await compact('toasted'),
      await compact('fixed'),
    ];
    expect([dense, toasted, fixed].map(codes)).toEqual(Array(3).fill(['METHOD_UNSUITABLE']));
    expect(message(dense)).toMatch(/nothing to gain/);
    expect(message(toasted)).toMatch(/in its TOAST table.*REPACK or VACUUM_FULL/);
    expect(message(fixed)).toMatch(/no column that an UPDATE may set/);
  });
});
