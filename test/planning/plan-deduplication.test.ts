import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanDeduplicationInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { availableVersions } from '../support/postgres.ts';
import { makePlanning, OPERATOR, type Planning, principal } from './planning.ts';

/** 1000 people by 800 mails: 200 duplicates, each with two orders, a tag that another has, and one of its own. */
const SCHEMA = `
  CREATE TABLE person (id int PRIMARY KEY, email text, boss int REFERENCES person, at timestamptz, extra json);
  CREATE TABLE orders (id int PRIMARY KEY, buyer int REFERENCES person ON DELETE CASCADE, payer bigint REFERENCES person ON DELETE SET NULL);
  CREATE TABLE tag (person int REFERENCES person, word text, note text, PRIMARY KEY (person, word));
  CREATE TABLE badge (id int PRIMARY KEY, tag_person int, tag_word text, FOREIGN KEY (tag_person, tag_word) REFERENCES tag ON UPDATE CASCADE);
  CREATE TABLE letter (id int PRIMARY KEY, person_id int);
  INSERT INTO person SELECT i, 'mail' || i % 800, NULL, NULL, '{}' FROM generate_series(0, 999) i;
  UPDATE person SET boss = id - 100 WHERE id >= 900;
  INSERT INTO orders SELECT i, i % 1000, CASE WHEN i < 1000 THEN i END FROM generate_series(0, 1999) i;
  INSERT INTO tag SELECT i, 'same', 'n' FROM generate_series(0, 999) i; INSERT INTO tag SELECT i, 'own' || i, NULL FROM generate_series(0, 999) i;
  INSERT INTO badge SELECT i, i, 'same' FROM generate_series(0, 999, 2) i;
  INSERT INTO letter SELECT i, i FROM generate_series(0, 999) i;
  CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE TRIGGER told AFTER UPDATE OF buyer ON orders FOR EACH ROW EXECUTE FUNCTION tell();
  ANALYZE;`;

const input = (change: Partial<PlanDeduplicationInput> = {}): PlanDeduplicationInput => ({
  database: 'shop',
  schema: 'public',
  table: 'person',
  key: [{ column: 'email', ignoreCase: false, trim: false }],
  keep: { by: 'id', order: 'LOWEST' },
  references: 'REPOINT',
  ...change,
});

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);
const warned = (plan: PlanView) => plan.forecast.warnings.map(({ code }) => code);
const effects = (plan: PlanView) =>
  plan.forecast.effects.map(({ table, effect, rows }) => `${effect} ${table} ${rows}`).sort();

describe.each(availableVersions().filter((version) => version === 14 || version === 18))(
  'the plan of a deduplication on PostgreSQL %i',
  (version) => {
    let planning: Planning;
    beforeAll(async () => {
      planning = await makePlanning({ version, sql: SCHEMA });
    });
    afterAll(() => planning.close());
    const plan = (change: Partial<PlanDeduplicationInput> = {}) =>
      planning.plans.deduplication(input(change), OPERATOR);

    it('counts exactly what goes, what is re-pointed and what becomes a duplicate itself, and changes nothing', async () => {
      const state = `SELECT (SELECT count(*)::int FROM pg_namespace WHERE nspname = 'declutter') AS ours, pg_current_xact_id_if_assigned()::text AS none,
        (SELECT md5(string_agg(p::text || p.xmin::text || p.ctid::text, ',' ORDER BY id)) FROM person p) AS rows`;
      const before = await planning.target.run(state);
      const drawn = await plan();
      expect(drawn).toMatchObject({ kind: 'DEDUPLICATION', state: 'READY', table: 'person' });
      expect(drawn.forecast.impact).toMatchObject({ rows: 200, rowsAreExact: true, share: 0.2 });
      expect(effects(drawn)).toEqual([
        'DELETE_INCLUDED tag 200',
        'REPOINT badge 100',
        'REPOINT orders 400',
        'REPOINT tag 200',
        'TRIGGER orders 400',
        'UNDECLARED_REFERENCE letter 200',
      ]);
      expect(drawn.forecast.sample).toHaveLength(100);
      expect(JSON.parse(drawn.forecast.sample[0] ?? '')).toMatchObject({ id: 800, email: 'mail0' });
      expect(drawn.forecast.steps.at(-1)?.sql).toBe(
        'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."person" ("email")',
      );
      expect(await planning.target.run(state)).toEqual(before);
    });

    it('names the same plan the same, and another keeper, key or way with references differently', async () => {
      const hash = async (change: Partial<PlanDeduplicationInput>) => (await plan(change)).hash;
      const all = [
        await hash({}),
        await hash({ keep: { by: 'id', order: 'HIGHEST' } }),
        await hash({ keep: { by: 'at', order: 'LOWEST' } }),
        await hash({ key: [{ column: 'email', ignoreCase: true, trim: false }] }),
        await hash({ references: 'REFUSE' }),
        await hash({ where: { column: 'id', op: 'GE', value: '0' } }),
        await hash({ destination: { kind: 'TABLE' } }),
      ];
      expect(new Set(all).size).toBe(all.length);
      expect(await hash({})).toBe(all[0]);
    });

    it('says who references the duplicates where that is refused', async () => {
      const drawn = await plan({ references: 'REFUSE' });
      expect(drawn.state).toBe('BLOCKED');
      expect(
        drawn.forecast.blockers.map(({ code, message }) => `${code} ${message.split(' reference ')[0]}`),
      ).toEqual(['DEPENDENTS 400 rows of public.orders', 'DEPENDENTS 400 rows of public.tag']);
    });

    it('leaves rows under a hold out, and refuses a table under one', async () => {
      const by = principal('ada', { roles: ['ADMIN'] });
      const hold = (where: object | null) =>
        planning.protection.placeHold(
          { database: 'shop', schema: 'public', table: 'person', where, reason: 'a case' },
          by,
        );
      const fresh = await plan();
      const some = await hold({ column: 'id', op: 'GE', value: '900' });
      await expect(planning.checkFresh(fresh)).rejects.toThrow('a hold was placed on public.person');
      const drawn = await plan();
      expect(drawn.forecast.impact.rows).toBe(100);
      expect(warned(drawn)).toContain('HOLD_EXCLUDED');
      const all = await hold(null);
      expect(codes(await plan())).toEqual(['HOLD']);
      for (const { id } of [some, all]) await planning.protection.releaseHold(id, 'over', by);
      const child = await planning.protection.placeHold(
        { database: 'shop', schema: 'public', table: 'orders', where: null, reason: 'a case' },
        by,
      );
      expect(codes(await plan())).toEqual(['HOLD']);
      await planning.protection.releaseHold(child.id, 'over', by);
    });

    it('is stale once other rows repeat, or a table that it touches is another', async () => {
      const drawn = await plan();
      await planning.checkFresh(drawn);
      await planning.target.run(`INSERT INTO person SELECT i, 'mail1' FROM generate_series(10000, 11500) i`);
      await expect(planning.checkFresh(drawn)).rejects.toThrow(
        '1701 rows repeat the key of another now, and 200 did',
      );
      await planning.target.run(`DELETE FROM person WHERE id >= 10000`);
      const again = await plan();
      await planning.target.run('ALTER TABLE tag ADD more int');
      await expect(planning.checkFresh(again)).rejects.toThrow('in public.tag, column more');
      await planning.target.run('ALTER TABLE tag DROP more');
    });

    it('shows rows that would collide and are not the same', async () => {
      await planning.target.run(`UPDATE tag SET note = 'another' WHERE word = 'same' AND person IN (3, 5)`);
      const drawn = await plan();
      expect(codes(drawn)).toEqual(['REPOINT_COLLISION']);
      expect(drawn.forecast.blockers[0]?.message).toContain(
        '2 rows of public.tag would have the same tag_pkey',
      );
      await planning.target.run(`UPDATE tag SET note = 'n' WHERE word = 'same'`);
    });

    it('says where a change of a key would reach further, and cannot be made', async () => {
      await planning.target.run(`
        CREATE TABLE usage (id int PRIMARY KEY, p int, w text, FOREIGN KEY (p, w) REFERENCES tag); INSERT INTO usage VALUES (1, 801, 'own801');
        CREATE TABLE fixed (id int PRIMARY KEY, person int GENERATED ALWAYS AS (id * 1) STORED REFERENCES person); INSERT INTO fixed VALUES (801);
        CREATE TABLE split (id int, person int REFERENCES person) PARTITION BY LIST (person); CREATE TABLE split_all PARTITION OF split DEFAULT`);
      expect(codes(await plan()).sort()).toEqual(['REFERENCE_FIXED', 'REFERENCE_PARTITIONS']);
      await planning.target.run('DROP TABLE fixed, split');
      const drawn = await plan();
      expect(codes(drawn)).toEqual(['UPDATE_REACHES_FURTHER']);
      expect(drawn.forecast.blockers[0]?.message).toContain('1 rows of public.usage');
      await planning.target.run('DROP TABLE usage');
    });

    it.each([
      [
        'a column that is not there',
        { key: [{ column: 'mail', ignoreCase: false, trim: false }] },
        'no column "mail"',
      ],
      ['values without an order', { key: [{ column: 'extra', ignoreCase: false, trim: false }] }, 'no order'],
      ['case of what is no text', { key: [{ column: 'id', ignoreCase: true, trim: false }] }, 'is none'],
      ['no key', { key: [] }, 'key must have'],
      [
        'a column twice',
        { key: ['email', 'email'].map((column) => ({ column, ignoreCase: false, trim: false })) },
        'twice in key',
      ],
      ['a rule by what has no order', { keep: { by: 'extra', order: 'LOWEST' as const } }, 'no order'],
      ['another table that is not there', { table: 'persons' }, 'persons'],
    ])('refuses %s', async (_what, change, message) => {
      await expect(plan(change)).rejects.toThrow(message);
    });

    it('asserts limits, and estimates when the time is up', async () => {
      expect(codes(await plan({ limits: { maxRows: 100 } }))).toEqual(['ROW_LIMIT']);
      expect(codes(await plan({ limits: { maxShare: 0.1 } }))).toEqual(['SHARE_LIMIT']);
      const hurried = await makePlanning({ version, budgetMs: 1, sql: SCHEMA });
      try {
        const drawn = await hurried.plans.deduplication(input(), OPERATOR);
        expect(drawn.forecast.impact.rowsAreExact).toBe(false);
        expect(warned(drawn)).toEqual(expect.arrayContaining(['ROWS_ESTIMATED', 'EFFECTS_ESTIMATED']));
      } finally {
        await hurried.close();
      }
    });

    it('finds nothing to do where no key repeats, and is for one partition at a time', async () => {
      await planning.target.run(`
        CREATE TABLE parted (id int, email text, day int) PARTITION BY RANGE (day);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
        INSERT INTO parted VALUES (1, 'a', 1), (2, 'b', 2)`);
      expect(codes(await plan({ table: 'parted' }))).toEqual(['NOT_A_TABLE']);
      const drawn = await plan({ table: 'parted_1' });
      expect(drawn.state).toBe('READY');
      expect(warned(drawn)).toEqual(expect.arrayContaining(['NOTHING_TO_DO', 'ONE_PARTITION']));
    });
  },
);

describe('who may', () => {
  it('names every right that is missing, and needs approval for more than half of a table', async () => {
    const planning = await makePlanning({
      environment: 'PRODUCTION',
      role: 'dedup_$db',
      sql: `${SCHEMA} CREATE ROLE dedup_$db LOGIN PASSWORD '$password'; GRANT SELECT, DELETE, UPDATE (email) ON person TO dedup_$db; GRANT SELECT ON orders TO dedup_$db;
        GRANT CREATE ON DATABASE $db TO dedup_$db; CREATE TABLE twice (id int PRIMARY KEY, word text); INSERT INTO twice SELECT i, 'w' || i % 600 FROM generate_series(1, 3000) i;
        GRANT SELECT, DELETE, UPDATE ON twice TO dedup_$db`,
    });
    try {
      const drawn = await planning.plans.deduplication(input(), OPERATOR);
      const grants = drawn.forecast.blockers
        .filter(({ code }) => code === 'NO_RIGHTS')
        .map(({ hint }) => hint);
      expect(grants.join('\n')).toContain('GRANT UPDATE ("buyer", "payer") ON "public"."orders"');
      expect(grants.join('\n')).toContain('GRANT UPDATE ("boss") ON "public"."person"');
      expect(grants.join('\n')).toMatch(/GRANT SELECT, DELETE, UPDATE \("person"\) ON "public"\."tag"/);
      expect(drawn.forecast.impact.rows).toBe(200);
      const key = [{ column: 'word', ignoreCase: false, trim: false }];
      const most = await planning.plans.deduplication(
        input({ table: 'twice', key, limits: { maxShare: 1 } }),
        OPERATOR,
      );
      expect(most).toMatchObject({
        state: 'NEEDS_APPROVAL',
        forecast: { impact: { rows: 2400, share: 0.8 } },
      });
    } finally {
      await planning.target.run(
        `DROP OWNED BY dedup_${planning.target.name}; DROP ROLE dedup_${planning.target.name}`,
      );
      await planning.close();
    }
  });
});
