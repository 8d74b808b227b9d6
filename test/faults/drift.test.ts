import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FaultScene, faultScene, FILES, ONE_LANE, until, untilSeen } from '../support/fault-scene.ts';

let scene: FaultScene;

beforeEach(async () => {
  scene = await faultScene();
});

afterEach(() => scene.close());

/** What somebody does to the table between two batches, and how it is taken back. */
const CHANGES: [string, string, string][] = [
  ['a column added', 'ALTER TABLE event ADD COLUMN more int', 'ALTER TABLE event DROP COLUMN more'],
  [
    'a column renamed',
    'ALTER TABLE event RENAME body TO content',
    'ALTER TABLE event RENAME content TO body',
  ],
  [
    'a column of another type',
    'ALTER TABLE event ALTER body TYPE json USING body::json',
    'ALTER TABLE event ALTER body TYPE jsonb USING body::jsonb',
  ],
  [
    'a trigger',
    `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
     CREATE TRIGGER nothing BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION nothing()`,
    'DROP TRIGGER nothing ON event',
  ],
  ['a foreign key', 'CREATE TABLE note (event bigint REFERENCES event ON DELETE CASCADE)', 'DROP TABLE note'],
  ['a rule', 'CREATE RULE keep AS ON DELETE TO event DO INSTEAD NOTHING', 'DROP RULE keep ON event'],
  [
    'row security',
    'ALTER TABLE event ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE event DISABLE ROW LEVEL SECURITY',
  ],
  ['another name', 'ALTER TABLE event RENAME TO elsewhere', 'ALTER TABLE elsewhere RENAME TO event'],
];

describe('a table that gets, while rows of it are archived,', () => {
  it.each(CHANGES)('%s: the run pauses, and goes on when that is taken back', async (_, change, back) => {
    const runId = await scene.queue(FILES, { throttle: { ...ONE_LANE, dutyCycle: 0.05 } });
    const work = scene.engine.work(runId);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await scene.database.run(change);
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    await scene.database.run(back);
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('dropped and made anew under its name: the new one is left alone', async () => {
    const runId = await scene.queue(FILES, { throttle: { ...ONE_LANE, dutyCycle: 0.05 } });
    const work = scene.engine.work(runId);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await scene.database.run(
      'ALTER TABLE event RENAME TO former; CREATE TABLE event (LIKE former INCLUDING ALL); INSERT INTO event SELECT * FROM former',
    );
    const [before] = await scene.database.run('SELECT count(*) AS n FROM event');
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(await scene.resume(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(await scene.database.run('SELECT count(*) AS n FROM event')).toEqual([before]);
  });

  it('a foreign key that is asked for at COMMIT only: the batch is rolled back, and can be done later', async () => {
    await scene.database.run(`
      CREATE TABLE note (event bigint REFERENCES event DEFERRABLE INITIALLY DEFERRED); CREATE INDEX ON note (event);
      INSERT INTO note VALUES (3000)`);
    const runId = await scene.queue(FILES);
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'DEPENDENTS' });
    expect(await scene.database.run('SELECT old FROM event WHERE id = 3000')).toEqual([{ old: true }]);
    await scene.database.run('DELETE FROM note');
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });
});

describe('an application', () => {
  it('that would be in a deadlock with a batch wins, and the batch is done again', async () => {
    const application = await scene.database.session({
      readOnly: false,
      lockTimeoutMs: 20_000,
      statementTimeoutMs: 20_000,
    });
    await application.script(application.begin());
    await application.script(`UPDATE event SET old = false WHERE id = 200`);
    const runId = await scene.queue(FILES);
    const work = scene.engine.work(runId);
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await untilSeen(scene.database, waiting);
    await application.script(`UPDATE event SET at = at WHERE id = 2`);
    await application.script('COMMIT');
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 2_999 } });
    expect(await scene.database.run('SELECT old FROM event WHERE id = 200')).toEqual([{ old: false }]);
  });

  it.each(['40001', '40P01', '57014'])('that makes a batch fail with %s has it done again', async (state) => {
    await scene.database.run(`
      CREATE SEQUENCE tries;
      CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF nextval('tries') <= 2 THEN RAISE 'no' USING ERRCODE = '${state}'; END IF; RETURN OLD; END $$;
      CREATE TRIGGER once BEFORE DELETE ON event FOR EACH ROW WHEN (OLD.id = 3000) EXECUTE FUNCTION once()`);
    const runId = await scene.queue(FILES);
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
    expect(await scene.database.run(`SELECT last_value::int AS tries FROM tries`)).toEqual([{ tries: 3 }]);
  });
});
