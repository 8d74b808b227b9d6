import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import { makeProtection } from '../../src/planning/protection-use-cases.ts';
import { placeInLedger } from '../../src/target/ledger-holds.ts';
import { BATCH_SETTINGS } from '../../src/target/session.ts';
import { FAST, testEngine, type TestEngine } from '../support/engine.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const OLD = { column: 'old', op: 'EQ', value: 'true' } as const;
const PURGE = { kind: 'PURGE', filter: OLD, dependents: 'REFUSE', pick: 'HEAP_RANGES' } as const;
const ARCHIVE = { ...PURGE, kind: 'ARCHIVE' } as const;
const PATHS: readonly [string, OperationSpec][] = [
  ['a purge', PURGE],
  ['a purge by an index', { ...PURGE, pick: 'INDEX' }],
  ['a purge with dependents', { ...PURGE, dependents: 'INCLUDE' }],
  [
    'an archive in files',
    { ...ARCHIVE, destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } },
  ],
  ['an archive in a table', { ...ARCHIVE, destination: { kind: 'TABLE', schema: 'public', table: 'kept' } }],
];
const ADMIN: Principal = {
  subject: 'admin',
  clientId: null,
  roles: ['ADMIN'],
  isMachine: false,
  mayApprove: true,
};

let database: TestDatabase;
let engine: TestEngine;
let other: pg.Client;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await database.run(`
    CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, old boolean NOT NULL, note text);
    CREATE TABLE part (id int PRIMARY KEY, item bigint NOT NULL REFERENCES item ON DELETE CASCADE);
    CREATE INDEX ON part (item);
    INSERT INTO item (old, note) SELECT true, repeat('note', 120) FROM generate_series(1, 5000);
    ANALYZE item`);
});

afterEach(async () => {
  await other.end();
  await engine.close();
  await database.drop();
});

const rowsLeft = async () => (await database.run('SELECT count(*)::int AS n FROM item'))[0]?.['n'];
const queue = (operation: OperationSpec, change = {}) => engine.queue({ name: 'item' }, operation, change);
const resume = (runId: string) =>
  makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } }).resume(runId, ADMIN);

const protection = () => makeProtection(engine.deps);
const hold = (table: string, reason: string) =>
  protection().placeHold({ database: database.name, schema: 'public', table, reason }, ADMIN);

/** Known to the ledger alone: no heartbeat of a worker brings it. */
async function holdInLedger(table: string): Promise<void> {
  const session = await database.session(BATCH_SETTINGS);
  const held = { id: randomUUID(), oid: null, schema: 'public', table, reason: 'case 1' };
  await placeInLedger(session, held);
}

async function ledgerExists(): Promise<void> {
  const runId = await queue({ ...PURGE, filter: { column: 'id', op: 'LT', value: '0' } });
  expect((await engine.work(runId)).state).toBe('SUCCEEDED');
}

describe('a hold that a batch finds in its own transaction', () => {
  it.each(PATHS)('stops %s before a row has gone', async (_name, operation) => {
    await ledgerExists();
    await holdInLedger('item');
    const run = await engine.work(await queue(operation));
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD', progress: { rowsDone: 0 } });
    expect(run.stateReason).toMatch(/A hold was placed on public\.item: case 1\. Release it/);
    expect(await rowsLeft()).toBe(5_000);
  });

  it('may be on a table whose rows go along, or on one that was renamed since', async () => {
    await ledgerExists();
    await database.run('ALTER TABLE item RENAME TO thing');
    const session = await database.session(BATCH_SETTINGS);
    const [item] = await database.run(`SELECT 'thing'::regclass::oid::int AS oid`);
    const oid = Number(item?.['oid']);
    await placeInLedger(session, { id: randomUUID(), oid, schema: 'public', table: 'item', reason: 'x' });
    const renamed = await engine.work(await engine.queue({ name: 'thing' }, PURGE));
    expect(renamed).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD' });
    await database.run('DELETE FROM declutter.hold; ALTER TABLE thing RENAME TO item');
    await engine.deps.store.prisma.runTable.deleteMany();
    await holdInLedger('part');
    const withParts = await engine.work(await queue({ ...PURGE, dependents: 'INCLUDE' }));
    expect(withParts).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD', progress: { rowsDone: 0 } });
    expect(await rowsLeft()).toBe(5_000);
  });

  it('of rows that go along, and that it has come to protect, stops the batch that would take one', async () => {
    await ledgerExists();
    await database.run(
      `ALTER TABLE part ADD COLUMN evidence boolean DEFAULT false; INSERT INTO part SELECT i, i FROM generate_series(1, 5000) AS i`,
    );
    const filter = { column: 'evidence', op: 'EQ', value: 'true' } as const;
    const { id } = await protection().placeHold(
      { database: database.name, schema: 'public', table: 'part', where: filter, reason: 'case 6' },
      ADMIN,
    );
    const [part] = await database.run(`SELECT 'part'::regclass::oid::int AS oid`);
    const heldBeside = [{ hold: id, oid: Number(part?.['oid']), filter, reason: 'case 6' }];
    const runId = await queue(
      { ...PURGE, dependents: 'INCLUDE' },
      { holds: [id], heldBeside, throttle: { ...FAST, batchRows: 1_000 } },
    );
    await database.run('UPDATE part SET evidence = NULL WHERE id = 4000');
    const run = await engine.work(runId);
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD' });
    expect(run.stateReason).toMatch(/protects rows of public\.part that would go along: case 6\. Release it/);
    expect(
      await database.run('SELECT item.id FROM item JOIN part ON part.item = item.id WHERE part.id = 4000'),
    ).toHaveLength(1);
    expect(await rowsLeft()).toBeLessThan(5_000);
    await protection().releaseHold(id, 'closed', ADMIN);
    await resume(runId);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', progress: { rowsDone: 5_000 } });
    expect(await database.run('SELECT FROM part')).toEqual([]);
  });

  it('that the plan knows of, and has left out by its filter, is no reason to stop', async () => {
    await ledgerExists();
    const { id } = await hold('item', 'case 2');
    const run = await engine.work(await queue(PURGE, { holds: [id] }));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 5_000 } });
  });

  it('keeps no rows from being restored', async () => {
    await ledgerExists();
    await holdInLedger('item');
    const restore: OperationSpec = { kind: 'REORGANIZATION', method: 'ANALYZE' };
    expect(await engine.work(await queue(restore))).toMatchObject({ state: 'SUCCEEDED' });
  });
});

describe('placeHold', () => {
  it('waits for the batch that is under way, and no other commits once it has returned', async () => {
    await ledgerExists();
    await other.query('BEGIN; SELECT FROM item WHERE id = 100 FOR UPDATE');
    const throttle = { ...FAST, batchRows: 500 };
    const work = engine.work(await queue(PURGE, { throttle }));
    await waiting('FROM ONLY%');
    const placed = hold('item', 'case 3').then(rowsLeft);
    await waiting('LOCK TABLE declutter.hold%');
    await other.query('COMMIT');
    const left = await placed;
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD' });
    expect(await rowsLeft()).toBe(left);
    expect([left === 5_000, left === 0]).toEqual([false, false]);
  });

  it('holds where there is no ledger yet, until it is released', async () => {
    const { id } = await hold('item', 'case 4');
    const runId = await queue(PURGE);
    expect(await engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD' });
    expect(await rowsLeft()).toBe(5_000);
    expect(await database.run('SELECT reason FROM declutter.hold')).toEqual([{ reason: 'case 4' }]);
    await protection().releaseHold(id, 'closed', ADMIN);
    await resume(runId);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 5_000 } });
    expect(await database.run('SELECT reason FROM declutter.hold')).toEqual([]);
  });

  it('is taken back when the database cannot be told', async () => {
    await ledgerExists();
    const connect: TestEngine['deps']['connect'] = (id, settings) =>
      settings.readOnly ? engine.deps.connect(id, settings) : Promise.reject(new Error('no'));
    const unable = makeProtection({ ...engine.deps, connect });
    const wish = { database: database.name, schema: 'public', table: 'item', reason: 'case 5' };
    await expect(unable.placeHold(wish, ADMIN)).rejects.toThrow('no');
    expect(await protection().holds()).toEqual([
      expect.objectContaining({ reason: 'case 5', releasedAt: expect.any(Date) }),
    ]);
    expect(await engine.work(await queue(PURGE))).toMatchObject({ state: 'SUCCEEDED' });
  });
});

/** Until a session waits for a lock in such a statement. */
async function waiting(statement: string): Promise<void> {
  for (;;) {
    const rows = await database.run(`
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%${statement}'`);
    if (rows.length > 0) return;
  }
}
