import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import { availableVersions } from '../support/postgres.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

/** Three levels of cascades, met by two ways; SET NULL, SET DEFAULT, a tree, triggers, and references that nobody declared. */
const SCHEMA = `
  CREATE TABLE fired (name text);
  CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO fired VALUES (TG_TABLE_NAME || '' '' || TG_NAME); RETURN OLD; END';
  CREATE FUNCTION fire_new() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO fired VALUES (TG_TABLE_NAME || '' '' || TG_NAME); RETURN NEW; END';
  CREATE TABLE "Orders" (id bigint PRIMARY KEY, at timestamptz, parent_id bigint REFERENCES "Orders" ON DELETE CASCADE,
                         replaces bigint REFERENCES "Orders" ON DELETE SET NULL);
  CREATE INDEX ON "Orders" (parent_id); CREATE INDEX ON "Orders" (replaces);
  CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint REFERENCES "Orders" ON DELETE CASCADE);
  CREATE TABLE parts (id bigint PRIMARY KEY, line_id bigint REFERENCES lines ON DELETE CASCADE, order_id bigint REFERENCES "Orders" ON DELETE CASCADE);
  CREATE TABLE serials (id bigint PRIMARY KEY, part_id bigint REFERENCES parts ON DELETE CASCADE, line_id bigint REFERENCES lines ON DELETE SET NULL);
  CREATE TABLE coupons (id bigint PRIMARY KEY, order_id bigint REFERENCES "Orders" ON DELETE SET NULL, line_id bigint REFERENCES lines ON DELETE SET NULL, other int);
  CREATE TABLE labels (id bigint PRIMARY KEY, part_id bigint DEFAULT 2000 REFERENCES parts ON DELETE SET DEFAULT);
  CREATE TABLE unguarded (id bigint PRIMARY KEY, order_id bigint REFERENCES "Orders" ON DELETE CASCADE);
  CREATE TABLE notes (id bigint PRIMARY KEY, order_id int, "billingOrderId" bigint);
  CREATE TABLE visits (id bigint PRIMARY KEY, "Part_ID" bigint, line_id text);
  INSERT INTO "Orders" SELECT i, now() - i * interval '1 day', CASE WHEN i % 5 = 0 THEN i / 2 + 1 END, CASE WHEN i % 7 = 0 THEN i / 3 + 1 END FROM generate_series(1, 1000) i;
  INSERT INTO lines SELECT i, i % 1000 + 1 FROM generate_series(1, 3000) i;
  INSERT INTO parts SELECT i, i % 3000 + 1, CASE WHEN i % 3 = 0 THEN i % 900 + 1 END FROM generate_series(1, 5000) i;
  INSERT INTO serials SELECT i, i % 5000 + 1, i % 2000 + 1 FROM generate_series(1, 4000) i;
  INSERT INTO coupons SELECT i, i % 1000 + 1, i FROM generate_series(1, 2000) i;
  INSERT INTO labels SELECT i, i FROM generate_series(1, 1000) i;
  INSERT INTO unguarded SELECT i, i FROM generate_series(1, 1000) i; ALTER TABLE "Orders" ADD UNIQUE (at);
  INSERT INTO notes SELECT i, i % 1500, i % 1200 FROM generate_series(1, 3000) i;
  INSERT INTO visits SELECT i, i % 6000, i FROM generate_series(1, 3000) i;
  CREATE INDEX ON lines (order_id); CREATE INDEX ON parts (line_id); CREATE INDEX ON parts (order_id); CREATE INDEX ON serials (part_id);
  CREATE INDEX ON serials (line_id); CREATE INDEX ON coupons (order_id); CREATE INDEX ON coupons (line_id); CREATE INDEX ON labels (part_id);
  CREATE TRIGGER gone AFTER DELETE ON parts FOR EACH ROW EXECUTE FUNCTION fire();
  CREATE TRIGGER before_gone BEFORE DELETE ON "Orders" FOR EACH ROW EXECUTE FUNCTION fire();
  CREATE TRIGGER changed AFTER UPDATE ON coupons FOR EACH ROW EXECUTE FUNCTION fire_new();
  CREATE TRIGGER line_changed AFTER UPDATE OF line_id ON coupons FOR EACH ROW EXECUTE FUNCTION fire_new();
  CREATE TRIGGER other_changed AFTER UPDATE OF other ON coupons FOR EACH ROW EXECUTE FUNCTION fire_new();
  CREATE TRIGGER off AFTER DELETE ON lines FOR EACH ROW EXECUTE FUNCTION fire(); ALTER TABLE lines DISABLE TRIGGER off;
  DO $do$ DECLARE t text; BEGIN
    FOR t IN SELECT tgname FROM pg_trigger JOIN pg_constraint k ON k.oid = tgconstraint
              WHERE tgrelid = '"Orders"'::regclass AND k.conrelid = 'unguarded'::regclass LOOP
      EXECUTE format('ALTER TABLE "Orders" DISABLE TRIGGER %I', t); END LOOP; END $do$;
  ANALYZE;`;

const TABLES = ['Orders', 'lines', 'parts', 'serials', 'coupons', 'labels', 'unguarded', 'notes', 'visits'];

const plan = (planning: Planning, change: Partial<PlanPurgeInput> = {}) =>
  planning.plans.purge(
    {
      database: 'shop',
      schema: 'public',
      table: 'Orders',
      where: { column: 'id', op: 'GT', value: '700' },
      dependents: 'REFUSE',
      ...change,
    },
    OPERATOR,
  );

/** What a DELETE does, seen from within its transaction before it is rolled back. */
async function executed({ target }: Planning, where: string): Promise<Record<string, number>> {
  const session = await target.session({ readOnly: false });
  const found: Record<string, number> = {};
  const count = async (name: string, query: string) => {
    const [result] = await session.script(query);
    const rows = Number(result?.rows[0]?.['n'] ?? 0);
    if (rows > 0) found[name] = rows;
  };
  await session
    .transaction(async () => {
      for (const table of TABLES)
        await session.script(
          `CREATE TEMPORARY TABLE "was_${table}" ON COMMIT DROP AS SELECT * FROM public."${table}"`,
        );
      await session.script(`DELETE FROM public."Orders" WHERE ${where}`);
      for (const table of TABLES) {
        const was = `pg_temp."was_${table}" w`;
        await count(
          `${table} gone`,
          `SELECT count(*) AS n FROM ${was} WHERE NOT EXISTS (SELECT FROM public."${table}" t WHERE t.id = w.id)`,
        );
        await count(
          `${table} changed`,
          `SELECT count(*) AS n FROM ${was} JOIN public."${table}" t USING (id) WHERE w::text <> t::text`,
        );
      }
      for (const [column, parent] of [
        ['order_id', 'Orders'],
        ['billingOrderId', 'Orders'],
      ] as const)
        await count(
          `notes ${column} dangling`,
          `SELECT count(*) AS n FROM public.notes n WHERE EXISTS (SELECT FROM pg_temp."was_${parent}" w WHERE w.id = n."${column}") AND NOT EXISTS (SELECT FROM public."${parent}" t WHERE t.id = n."${column}")`,
        );
      await count(
        'visits Part_ID dangling',
        `SELECT count(*) AS n FROM public.visits n WHERE EXISTS (SELECT FROM pg_temp.was_parts w WHERE w.id = n."Part_ID") AND NOT EXISTS (SELECT FROM public.parts t WHERE t.id = n."Part_ID")`,
      );
      for (const name of [
        'parts gone',
        'Orders before_gone',
        'coupons changed',
        'coupons line_changed',
        'coupons other_changed',
        'lines off',
      ])
        await count(`${name} fired`, `SELECT count(*) AS n FROM public.fired WHERE name = '${name}'`);
      throw new Error('rolled back');
    })
    .catch((error: unknown) => {
      if (!(error instanceof Error) || error.message !== 'rolled back') throw error;
    });
  return found;
}

/** The oldest and the newest: what differs between majors is in the catalog, which has tests of its own. */
const VERSIONS = availableVersions().filter((_, i, all) => i === 0 || i === all.length - 1);

describe.each(VERSIONS)('the blast radius on PostgreSQL %i', (version) => {
  let planning: Planning;
  beforeAll(async () => {
    planning = await makePlanning({ version, sql: SCHEMA });
  });
  afterAll(() => planning.close());

  it.each([
    ['by one filter', { column: 'id', op: 'GT', value: '700' }, 'id > 700'],
    ['of few rows', { column: 'id', op: 'IN', values: ['5', '40', '41'] }, 'id IN (5, 40, 41)'],
  ] as [string, PlanPurgeInput['where'], string][])(
    'is that of a DELETE that was carried out and rolled back: %s',
    async (_name, where, condition) => {
      const truth = await executed(planning, condition);
      const { forecast } = await plan(planning, { where });
      expect(forecast.warnings.map(({ code }) => code)).not.toContain('EFFECTS_ESTIMATED');
      const sum = (table: string, ...kinds: string[]) =>
        forecast.effects
          .filter((effect) => effect.table === table && kinds.includes(effect.effect))
          .reduce((rows, effect) => rows + effect.rows, 0);
      const told: Record<string, number> = {};
      const tell = (name: string, rows: number) => {
        if (rows > 0) told[name] = rows;
      };
      for (const table of TABLES) {
        const own = table === 'Orders' ? forecast.impact.rows : 0;
        tell(`${table} gone`, own + sum(table, 'DELETE_CASCADE'));
        tell(`${table} changed`, sum(table, 'SET_NULL', 'SET_DEFAULT'));
      }
      for (const { table, effect, rows, detail } of forecast.effects) {
        const column = /by (\S+) =/.exec(detail)?.[1] ?? '';
        const trigger = /trigger (\S+) \(/.exec(detail)?.[1] ?? '';
        if (effect === 'UNDECLARED_REFERENCE') tell(`${table} ${column} dangling`, rows);
        if (effect === 'TRIGGER')
          tell(`${table} ${trigger} fired`, (told[`${table} ${trigger} fired`] ?? 0) + rows);
      }
      expect(told).toEqual(truth);
      expect(Object.keys(truth).length).toBeGreaterThan(10);
    },
  );
});

describe('what would make the delete fail', () => {
  it('is told before: a default that goes too, a column that may not be NULL, a key that is referenced in its turn', async () => {
    const planning = await makePlanning({
      sql: `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10);
        CREATE TABLE labels (id int PRIMARY KEY, t_id int DEFAULT 3 REFERENCES t ON DELETE SET DEFAULT); INSERT INTO labels VALUES (1, 4);
        CREATE TABLE coupons (id int PRIMARY KEY, t_id int NOT NULL REFERENCES t ON DELETE SET NULL); INSERT INTO coupons VALUES (1, 5);
        CREATE TABLE owners (t_id int UNIQUE REFERENCES t ON DELETE SET NULL); INSERT INTO owners VALUES (6);
        CREATE TABLE things (id int, t_id int REFERENCES owners (t_id) ON UPDATE CASCADE); INSERT INTO things VALUES (1, 6);`,
    });
    const codes = async (...values: string[]) => {
      const { forecast } = await plan(planning, { table: 't', where: { column: 'id', op: 'IN', values } });
      return forecast.blockers.map(({ code }) => code);
    };
    expect(await codes('4')).toEqual(['DEPENDENTS']);
    expect(await codes('3', '4')).toEqual(['DEFAULT_MISSING', 'DEPENDENTS']);
    expect(await codes('5')).toEqual(['NOT_NULL_REFERENCE', 'DEPENDENTS']);
    expect(await codes('6')).toEqual(['UPDATE_REACHES_FURTHER', 'DEPENDENTS']);
    expect(await codes('7')).toEqual([]);
    await planning.close();
  });
});

describe('a trial', () => {
  it('tells what triggers touch, takes all of it back, and is blocked by what fails or keeps rows', async () => {
    const planning = await makePlanning({
      sql: `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 500);
        CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE); INSERT INTO child SELECT i, i FROM generate_series(1, 500) i;
        CREATE TABLE log (id int); CREATE TABLE total (n int); INSERT INTO total VALUES (0);
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
          IF OLD.id > 490 THEN RETURN NULL; END IF;
          IF OLD.id = 480 THEN RAISE 'no'; END IF;
          INSERT INTO log VALUES (OLD.id); UPDATE total SET n = n + 1; RETURN OLD; END $f$;
        CREATE TRIGGER tell BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION tell();`,
    });
    const tried = async (values: string[]) =>
      (await plan(planning, { table: 't', trial: true, where: { column: 'id', op: 'IN', values } })).forecast;
    const well = await tried(['1', '2', '3']);
    expect(well.warnings.find(({ code }) => code === 'TRIAL')?.message).toMatch(
      /^3 of the rows .*: public.child 3 deleted; public.log 3 inserted; public.t 3 deleted; public.total 3 updated\.$/,
    );
    expect((await tried(['1', '495'])).blockers).toContainEqual(
      expect.objectContaining({ code: 'TRIAL_KEPT_ROWS' }),
    );
    expect((await tried(['480'])).blockers).toContainEqual(expect.objectContaining({ code: 'TRIAL_FAILED' }));
    const rows = await planning.target.run(
      'SELECT (SELECT count(*)::int FROM t) AS t, (SELECT count(*)::int FROM child) AS child, (SELECT count(*)::int FROM log) AS log',
    );
    expect(rows).toEqual([{ t: 500, child: 500, log: 0 }]);
    await planning.close();
  });
});
