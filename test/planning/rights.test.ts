import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { type TestEngine, testEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const SCHEMA = `CREATE ROLE "role_$db" LOGIN PASSWORD '$password'; CREATE ROLE "owner_$db";
  GRANT CREATE ON DATABASE "$db" TO "role_$db"; REVOKE TEMPORARY ON DATABASE "$db" FROM PUBLIC;
  CREATE SCHEMA app; CREATE SCHEMA words; CREATE SCHEMA other; CREATE SCHEMA archive; CREATE SCHEMA counters;
  CREATE TYPE words.mood AS ENUM ('good', 'bad'); REVOKE USAGE ON TYPE words.mood FROM PUBLIC;
  CREATE SEQUENCE counters.event_id;
  CREATE TABLE app.event (id int PRIMARY KEY DEFAULT nextval('counters.event_id'), at timestamptz DEFAULT '2001-01-01', moods words.mood[]);
  ALTER SEQUENCE counters.event_id OWNED BY NONE; INSERT INTO app.event (moods) SELECT '{good,bad}' FROM generate_series(1, 50);
  CREATE TABLE app.numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood words.mood);
  CREATE TABLE other.child (event int REFERENCES app.event ON DELETE CASCADE);
  CREATE TABLE archive.taken (id int, at timestamptz, moods words.mood[]); ALTER TABLE archive.taken OWNER TO "owner_$db";`;

let planning: Planning;
let engine: TestEngine;
let role: string;
beforeAll(async () => {
  planning = await makePlanning({ role: 'role_$db', sql: SCHEMA });
  role = `role_${planning.target.name}`;
  const { target } = planning;
  engine = await testEngine({ ...target, address: { ...target.address, user: role } });
});
afterAll(async () => {
  await engine.close();
  await planning.target
    .run(`DROP OWNED BY "${role}"; DROP ROLE "${role}"; DROP OWNED BY "owner_${planning.target.name}";
    DROP ROLE "owner_${planning.target.name}"`);
  await planning.close();
});

const WHERE = { column: 'id', op: 'LE', value: '20' } as const;
const archive = (table?: string) =>
  planning.plans.archive(
    {
      database: 'shop',
      schema: 'app',
      table: 'event',
      where: WHERE,
      dependents: 'REFUSE',
      destination: { kind: 'TABLE', schema: 'archive', ...(table === undefined ? {} : { table }) },
    },
    OPERATOR,
  );
const grants = ({ forecast }: PlanView) => {
  expect([...new Set(forecast.blockers.map(({ code }) => code))]).toEqual(
    forecast.blockers.length === 0 ? [] : ['NO_RIGHTS'],
  );
  return forecast.blockers.map(({ hint }) => hint!);
};
const grant = async (plan: PlanView) => {
  for (const hint of grants(plan)) await planning.target.run(hint);
};
const carriedOut = async (name: string, operation: OperationSpec) => {
  const id = await engine.queue({ schema: 'app', name }, operation);
  const { state, stateReason } = await engine.work(id);
  return { id, end: [state, stateReason] };
};

describe('the rights that a plan asks for', () => {
  it('are all those that an archive to a table takes, in one round', async () => {
    const plan = await archive();
    expect(grants(plan).map((hint) => hint.replace(` TO "${role}";`, ''))).toEqual([
      'GRANT USAGE ON SCHEMA "app"',
      'GRANT SELECT, DELETE, UPDATE ("id") ON "app"."event"',
      'GRANT USAGE, CREATE ON SCHEMA "archive"',
      'GRANT USAGE ON SCHEMA "words"',
      'GRANT USAGE ON TYPE "words"."mood"',
      'GRANT USAGE ON SCHEMA "other"',
      'GRANT SELECT ON "other"."child"',
    ]);
    expect(plan.forecast.blockers[1]!.message).toBe(
      `The role ${role} lacks SELECT and DELETE and UPDATE on app.event.`,
    );
    await grant(plan);
    const free = await archive();
    expect(free.state).toBe('READY');
    const { end } = await carriedOut('event', free.spec.operation);
    expect(end).toEqual(['SUCCEEDED', null]);
    const [kept] = await planning.target.run('SELECT count(*)::int AS rows FROM archive.event_archive');
    expect(kept).toEqual({ rows: 20 });
  });

  it('include ownership of an archive table that is there, and the plan still counts', async () => {
    const plan = await archive('taken');
    expect(grants(plan)).toEqual([`GRANT "owner_${planning.target.name}" TO "${role}";`]);
    expect(plan.forecast.blockers[0]!.message).toContain('lacks ownership on archive.taken');
    expect(plan.forecast.impact).toMatchObject({ rows: 0, rowsAreExact: true });
    await grant(plan);
    expect((await archive('taken')).state).toBe('READY');
  });

  it('are all those that a restore takes, in one round', async () => {
    const source = await planning.target.run(
      `GRANT DELETE, SELECT ON app.numbered TO "${role}"; INSERT INTO app.numbered (mood) SELECT 'good' FROM generate_series(1, 30);
       REVOKE USAGE ON SCHEMA words FROM "${role}"; REVOKE USAGE ON TYPE words.mood FROM "${role}"`,
    );
    expect(source).toEqual([]);
    const filed = await carriedOut('numbered', {
      kind: 'ARCHIVE',
      filter: WHERE,
      dependents: 'REFUSE',
      pick: 'HEAP_RANGES',
      destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    });
    expect(filed.end).toEqual(['SUCCEEDED', null]);
    const restore = await planRestore('numbered');
    expect(grants(restore).map((hint) => hint.replace(` TO "${role}";`, ''))).toEqual([
      'GRANT INSERT ON "app"."numbered"',
      `GRANT TEMPORARY ON DATABASE "${planning.target.name}"`,
      'GRANT USAGE ON SCHEMA "words"',
      'GRANT USAGE ON TYPE "words"."mood"',
      'GRANT SELECT, UPDATE ON SEQUENCE "app"."numbered_id_seq"',
    ]);
    await grant(restore);
    const free = await planRestore('numbered');
    expect(free.state).toBe('READY');
    const made = await engine.deps.store.prisma.archive.findUniqueOrThrow({ where: { runId: filed.id } });
    const { end } = await carriedOut('numbered', {
      ...free.spec.operation,
      archiveId: made.id,
      sourceRunId: filed.id,
    } as OperationSpec);
    expect(end).toEqual(['SUCCEEDED', null]);
    const [back] = await planning.target.run('SELECT count(*)::int AS rows FROM app.numbered');
    expect(back).toEqual({ rows: 30 });
  });
});

/** Of an archive that the planner's own store knows; the engine has another. */
async function planRestore(table: string): Promise<PlanView> {
  const { prisma } = planning.store;
  const { id: planId } = await archive('taken');
  const run = await prisma.run.create({
    data: {
      planId,
      databaseId: planning.databaseId,
      state: 'SUCCEEDED',
      startedBy: randomUUID(),
      throttle: {},
    },
  });
  const content = {
    columns: [
      { name: 'id', type: 'integer' },
      { name: 'mood', type: 'words.mood' },
    ],
    holder: null,
  };
  const { id } = await prisma.archive.create({
    data: {
      runId: run.id,
      databaseId: planning.databaseId,
      schema: 'app',
      table,
      kind: 'FILES',
      rows: 20,
      bytes: 1,
      content,
    },
  });
  return planning.plans.restore({ archiveId: id, into: 'SOURCE', onConflict: 'REFUSE' }, OPERATOR);
}
