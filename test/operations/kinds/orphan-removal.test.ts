import { afterEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { OperationSpec } from '../../../src/domain/plan.ts';
import type { PlanOrphanRemovalInput } from '../../../src/domain/plan-inputs.ts';
import { findArchiveByRun } from '../../../src/store/archives.ts';
import type { PlanView } from '../../../src/store/plans.ts';
import type { RunView } from '../../../src/store/runs.ts';
import { makePlanning, OPERATOR, type Planning } from '../../planning/planning.ts';
import { FAST, testEngine, type TestEngine, STEADY } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { fingerprintOf, loadArchive, strayFiles } from '../../support/fingerprint.ts';
import type { Version } from '../../support/installations.ts';
import { runThroughKills } from '../../support/kill-workers.ts';
import { SHORT_LEASE } from '../../support/spawn-worker.ts';
import { availableVersions } from '../../support/postgres.ts';

/** Nobody has declared the reference; one row in ten points nowhere, one in ten says so by NULL. */
const UNDECLARED = `
  CREATE TABLE orders (id bigint PRIMARY KEY);
  CREATE TABLE lines (id int PRIMARY KEY, order_id int, note text);
  INSERT INTO orders SELECT g FROM generate_series(1, 1000) g;
  INSERT INTO lines SELECT g, CASE g % 10 WHEN 3 THEN 100000 + g WHEN 7 THEN NULL ELSE g % 1000 + 1 END, md5(g::text) FROM generate_series(1, 6000) g;
  ANALYZE`;

const LINES = {
  database: 'shop',
  schema: 'public',
  table: 'lines',
  columns: ['order_id'],
  referencedSchema: 'public',
  referencedTable: 'orders',
  referencedColumns: ['id'],
  dependents: 'REFUSE',
} as const;

let planning: Planning;
let engine: TestEngine;

afterEach(async () => {
  await engine.close();
  await planning.close();
});

async function begin(sql: string, version?: Version): Promise<void> {
  planning = await makePlanning({ sql, ...(version === undefined ? {} : { version }) });
  engine = await testEngine(planning.target, SHORT_LEASE);
}

type Change = Partial<Omit<PlanOrphanRemovalInput, 'columns' | 'referencedColumns'>> & {
  readonly columns?: readonly string[];
  readonly referencedColumns?: readonly string[];
};

const plan = (change: Change = {}): Promise<PlanView> =>
  planning.plans.orphanRemoval({ ...LINES, ...change } as unknown as PlanOrphanRemovalInput, OPERATOR);

async function queue(made: PlanView, throttle = FAST): Promise<string> {
  expect([made.state, made.forecast.blockers]).toEqual(['READY', []]);
  const { schema, name } = made.spec.relations[0]!;
  return engine.queue({ schema, name }, made.spec.operation, { ...made.spec, throttle });
}

const run = async (made: PlanView): Promise<RunView> => engine.work(await queue(made));

const sql = (text: string) => planning.target.run(text);
const count = async (from: string) => (await sql(`SELECT count(*)::int AS n FROM ${from}`))[0]?.['n'];

/** A session of somebody else's. */
async function client(): Promise<pg.Client> {
  const other = new pg.Client({ connectionString: planning.target.url });
  await other.connect();
  return other;
}

const FILES = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } as const;
const ORPHANS =
  'lines l WHERE order_id IS NOT NULL AND NOT EXISTS (SELECT FROM orders o WHERE o.id = l.order_id)';

async function restored(runId: string, table: string): Promise<RunView> {
  const archive = await findArchiveByRun(engine.deps.store, runId);
  const back: OperationSpec = {
    kind: 'RESTORE',
    archiveId: archive?.id ?? '',
    sourceRunId: runId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema: 'public',
    table,
  };
  return engine.work(await engine.queue({ name: table }, back));
}

describe.each([...new Set([availableVersions()[0] ?? 18, 18 as const])])(
  'an orphan removal on PostgreSQL %i',
  (version) => {
    it('moves exactly the orphans into files, and they can be given back', async () => {
      await begin(UNDECLARED, version);
      const before = await fingerprintOf(planning.target, 'SELECT * FROM lines');
      const made = await plan({ destination: FILES });
      expect(made.spec.kind).toBe('ORPHAN_REMOVAL');
      expect(made.forecast.impact).toMatchObject({ rows: 600, rowsAreExact: true, share: 0.1 });
      const runId = await queue(made);
      const done = await engine.work(runId);
      expect([done.state, done.result.rowsArchived, done.result.rowsDeleted]).toEqual([
        'SUCCEEDED',
        600,
        600,
      ]);
      expect([
        await count(ORPHANS),
        await count('lines'),
        await count('lines WHERE order_id IS NULL'),
      ]).toEqual([0, 5_400, 600]);
      await loadArchive(planning.target, engine.archiveDir, runId, 'lines', 'kept');
      expect(
        await fingerprintOf(planning.target, 'SELECT * FROM lines UNION ALL SELECT * FROM kept'),
      ).toEqual(before);
      expect((await restored(runId, 'lines')).state).toBe('SUCCEEDED');
      expect(await fingerprintOf(planning.target, 'SELECT * FROM lines')).toEqual(before);
    }, 120_000);

    it('offers the foreign key to add, which then holds', async () => {
      await begin(UNDECLARED, version);
      const done = await run(await plan());
      expect([done.result.rowsArchived, done.result.rowsDeleted]).toEqual([0, 600]);
      const [, add, validate] =
        /^(ALTER TABLE .* NOT VALID) keeps new orphans out; (ALTER TABLE .*) then proves/.exec(
          done.result.nextStep ?? '',
        ) ?? [];
      await sql(`${add ?? ''}; ${validate ?? ''}`);
      expect(await count(`pg_constraint WHERE conname = 'lines_order_id_fkey' AND convalidated`)).toBe(1);
    }, 60_000);

    it('removes orphans of a NOT VALID key of two columns into a table, and validates', async () => {
      await begin(
        `CREATE TABLE orders (tenant text COLLATE "C", id int, UNIQUE (tenant, id));
         CREATE TABLE lines (id int, tenant text, order_id numeric);
         INSERT INTO orders SELECT 't' || g % 3, g FROM generate_series(1, 300) g;
         INSERT INTO lines SELECT g, CASE WHEN g % 20 = 0 THEN NULL ELSE 't' || g % 4 END, CASE WHEN g % 30 = 1 THEN NULL ELSE g END FROM generate_series(1, 300) g;
         ALTER TABLE lines ALTER order_id TYPE int;
         ALTER TABLE lines ADD CONSTRAINT "of order" FOREIGN KEY (tenant, order_id) REFERENCES orders (tenant, id) NOT VALID;
         CREATE TABLE expected AS SELECT l.* FROM lines l WHERE tenant IS NOT NULL AND order_id IS NOT NULL AND NOT EXISTS (SELECT FROM orders o WHERE o.tenant = l.tenant COLLATE "C" AND o.id = l.order_id)`,
        version,
      );
      const made = await plan({
        columns: ['order_id', 'tenant'],
        referencedColumns: ['id', 'tenant'],
        destination: { kind: 'TABLE' },
        limits: { maxShare: 1 },
      });
      const done = await run(made);
      expect([done.state, done.stateReason]).toEqual(['SUCCEEDED', null]);
      expect(done.result.nextStep).toMatch(
        /^ALTER TABLE "public"."lines" VALIDATE CONSTRAINT "of order" proves/,
      );
      expect(await count('expected')).toBeGreaterThan(100);
      expect(await fingerprintOf(planning.target, 'SELECT * FROM lines_archive')).toEqual(
        await fingerprintOf(planning.target, 'SELECT * FROM expected'),
      );
      await sql(`ALTER TABLE lines VALIDATE CONSTRAINT "of order"`);
    }, 60_000);
  },
);

/** Waits until somebody waits for the SHARE lock of the referenced table. */
async function shareLockWanted(): Promise<void> {
  const waiting = `pg_locks WHERE mode = 'ShareLock' AND NOT granted AND relation = 'orders'::regclass`;
  await eventually('somebody who waits for the lock', async () => Number(await count(waiting)) > 0);
}

describe('a parent that comes meanwhile', () => {
  it('saves its child when its insert was under way as the batch ended', async () => {
    await begin(UNDECLARED);
    const other = await client();
    await other.query('BEGIN; INSERT INTO orders VALUES (100003)');
    const working = run(await plan({ destination: FILES }));
    await shareLockWanted();
    expect(await count(ORPHANS)).toBe(600);
    await other.query('COMMIT');
    expect(await working).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 599 } });
    expect([await count('lines WHERE order_id = 100003'), await count(ORPHANS)]).toEqual([1, 0]);
    await other.end();
  }, 60_000);

  it('saves its child when whoever inserts it has locked the child', async () => {
    await begin(UNDECLARED);
    const other = await client();
    await other.query('BEGIN; SELECT FROM lines WHERE order_id = 100003 FOR UPDATE');
    const working = run(await plan());
    const waits = `pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'declutter/%' AND datname = current_database()`;
    await eventually('a worker that waits', async () => Number(await count(waits)) > 0);
    await other.query('INSERT INTO orders VALUES (100003); COMMIT');
    expect(await working).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 599 } });
    expect([await count('lines WHERE order_id = 100003'), await count(ORPHANS)]).toEqual([1, 0]);
    await other.end();
  }, 60_000);

  it('makes the run pause while a transaction keeps writing to the parents, and nothing is gone', async () => {
    await begin(UNDECLARED);
    const other = await client();
    await other.query('BEGIN; INSERT INTO orders VALUES (100003)');
    const paused = await run(await plan());
    expect([paused.state, paused.stateCode, await count('lines')]).toEqual(['PAUSED', 'LOCKED', 6_000]);
    await other.query('ROLLBACK');
    await engine.deps.store.prisma.run.update({ where: { id: paused.id }, data: { state: 'QUEUED' } });
    expect(await engine.work(paused.id)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 600 } });
    await other.end();
  }, 60_000);
});

describe('an orphan removal whose worker is killed with -9 three times', () => {
  it('loses no row, and takes none that has its parent', async () => {
    await begin(UNDECLARED.replace('6000', '60000'));
    const before = await fingerprintOf(planning.target, 'SELECT * FROM lines');
    const throttle = { ...STEADY, dutyCycle: 0.3, batchRows: 100, batchMs: 2 };
    const runId = await queue(await plan({ destination: FILES }), throttle);
    await runThroughKills({ database: planning.target, engine }, runId);
    const manifest = await loadArchive(planning.target, engine.archiveDir, runId, 'lines', 'kept');
    expect([manifest.rows, await count(ORPHANS), await count('lines')]).toEqual([6_000, 0, 54_000]);
    expect(await fingerprintOf(planning.target, 'SELECT * FROM lines UNION ALL SELECT * FROM kept')).toEqual(
      before,
    );
    expect(await strayFiles(engine.archiveDir, runId, manifest)).toEqual([]);
  }, 120_000);
});
