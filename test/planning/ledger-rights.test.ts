import { afterEach, describe, expect, it } from '@jest/globals';
import type { PlanView } from '../../src/store/plans.ts';
import type { RunView } from '../../src/store/runs.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
let engine: TestEngine;
let role: string;

/** A role that may do everything with the table, and make no schema. */
async function begin(): Promise<void> {
  planning = await makePlanning({
    role: 'role_$db',
    sql: `CREATE ROLE "role_$db" LOGIN PASSWORD '$password'; CREATE TABLE events (id int PRIMARY KEY);
      INSERT INTO events SELECT g FROM generate_series(1, 100) g; ALTER TABLE events OWNER TO "role_$db"`,
  });
  const { target } = planning;
  role = `role_${target.name}`;
  engine = await testEngine({ ...target, address: { ...target.address, user: role } });
}

afterEach(async () => {
  await engine.close();
  await planning.target.run(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`);
  await planning.close();
});

const EVENTS = { database: 'shop', schema: 'public', table: 'events' } as const;
const ROWS = { ...EVENTS, where: { column: 'id', op: 'LE', value: '10' }, dependents: 'REFUSE' } as const;

const work = async ({ spec }: PlanView): Promise<RunView> =>
  engine.work(await engine.queue({ name: 'events' }, spec.operation, spec));

const schemas = () => planning.target.run(`SELECT FROM pg_namespace WHERE nspname = 'declutter'`);

describe('a database in which our role may make no schema', () => {
  it('is looked at, and left as it is: every plan is blocked, with the GRANT to run', async () => {
    await begin();
    const plans = [
      await planning.plans.purge(ROWS, OPERATOR),
      await planning.plans.archive({ ...ROWS, destination: { kind: 'FILES' } }, OPERATOR),
      await planning.plans.reindex(EVENTS, OPERATOR),
      await planning.plans.reorganization({ ...EVENTS, method: 'VACUUM' }, OPERATOR),
      await planning.plans.orphanRemoval(
        {
          ...EVENTS,
          columns: ['id'],
          referencedSchema: 'public',
          referencedTable: 'events',
          referencedColumns: ['id'],
          dependents: 'REFUSE',
        },
        OPERATOR,
      ),
    ];
    const hint = `GRANT CREATE ON DATABASE "${planning.target.name}" TO "${role}";`;
    for (const { state, spec, forecast } of plans)
      expect([spec.kind, state, forecast.blockers.map((one) => [one.code, one.hint])]).toEqual([
        spec.kind,
        'BLOCKED',
        [['LEDGER_RIGHTS', hint]],
      ]);
    expect(await schemas()).toEqual([]);
    await planning.target.run(hint);
    expect(await work(await planning.plans.purge(ROWS, OPERATOR))).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsDeleted: 10 },
    });
  }, 60_000);

  it('takes a schema that somebody else has made for us', async () => {
    await begin();
    await planning.target.run(`CREATE SCHEMA declutter AUTHORIZATION "${role}"`);
    const made = await planning.plans.purge(ROWS, OPERATOR);
    expect([made.state, made.forecast.blockers]).toEqual(['READY', []]);
    expect(await work(made)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 10 } });
  }, 60_000);

  it('loses no row when the right is taken away before the first run', async () => {
    await begin();
    await planning.target.run(`GRANT CREATE ON DATABASE "${planning.target.name}" TO "${role}"`);
    const made = await planning.plans.purge(ROWS, OPERATOR);
    await planning.target.run(`REVOKE CREATE ON DATABASE "${planning.target.name}" FROM "${role}"`);
    const run = await work(made);
    expect([run.state, run.stateCode]).toEqual(['PAUSED', 'RIGHTS']);
    expect([await schemas(), await planning.target.run('SELECT count(*)::int AS n FROM events')]).toEqual([
      [],
      [{ n: 100 }],
    ]);
  }, 60_000);
});
