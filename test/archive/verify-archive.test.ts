import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import type { ArchiveDestination, OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { type ArchiveView, findArchiveByRun } from '../../src/store/archives.ts';
import { requireRun } from '../../src/store/runs.ts';
import { Session } from '../../src/target/session.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};
const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' };
const TABLE: ArchiveDestination = { kind: 'TABLE', schema: 'public', table: 'kept' };

let database: TestDatabase;
let engine: TestEngine;
let runId: string;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await database.run(`CREATE TABLE item (id int PRIMARY KEY, note text);
    INSERT INTO item SELECT i, 'note ' || i FROM generate_series(1, 9000) i; ANALYZE item`);
});
afterEach(async () => {
  await engine.close();
  await database.drop();
});

const archiving = (destination: ArchiveDestination): OperationSpec => ({
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'LE', value: '6000' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination,
});

async function archived(destination: ArchiveDestination): Promise<void> {
  runId = await engine.queue({ name: 'item' }, archiving(destination));
  expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 6_000 } });
}

const archive = async () => (await findArchiveByRun(engine.deps.store, runId)) as ArchiveView;
const verify = async (change: Partial<TestEngine['deps']> = {}) =>
  makeArchiveUseCases({ ...engine.deps, ...change }).verify((await archive()).id, BY);

async function isRefused(what: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  expect(await what).toMatchObject({
    ok: false,
    problems: [{ code, message: expect.stringMatching(message) }],
  });
  expect((await archive()).verifiedAt).toBeNull();
}

describe.each([FILES, TABLE])('the verification of an archive in $kind', (destination) => {
  it('is good when all that the run archived was read', async () => {
    await archived(destination);
    expect(await verify()).toEqual({ ok: true, segmentsChecked: 1, rowsChecked: 6_000, problems: [] });
    expect((await archive()).verifiedAt).not.toBeNull();
  });

  it('is not good while rows are in a segment that nobody has sealed', async () => {
    const throttle = { ...DEFAULT_THROTTLE, dutyCycle: 0.1, batchRows: 200, batchMs: 2 };
    runId = await engine.queue({ name: 'item' }, archiving(destination), { throttle });
    const stopping = new AbortController();
    const working = engine.work(runId, stopping.signal);
    while ((await requireRun(engine.deps.store, runId)).progress.rowsDone === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await isRefused(verify(), 'SEGMENT_UNSEALED', destination.kind === 'FILES' ? /not sealed/ : /hold 0\./);
    stopping.abort();
    await working;
  });

  it('is not good when the list lacks a segment, whether or not the ledger can be asked', async () => {
    await archived(destination);
    const { prisma } = engine.deps.store;
    await prisma.archiveSegment.deleteMany();
    await prisma.archive.updateMany({ data: { rows: 0, bytes: 0 } });
    await isRefused(verify(), 'SEGMENT_MISSING', /is in the ledger, and not in the list/);
    await database.run('DROP SCHEMA declutter CASCADE');
    await isRefused(
      verify(),
      'SEGMENT_MISSING',
      /has archived 6000 rows; the segments that are listed hold 0/,
    );
  });
});

describe('the verification of files', () => {
  it('needs no ledger: the database may be away, and the ledger gone', async () => {
    await archived(FILES);
    await database.run('DROP SCHEMA declutter CASCADE');
    expect(await verify()).toMatchObject({ ok: true, rowsChecked: 6_000 });
    const away = { ...database.address, port: 1 };
    expect(await verify({ connect: (_id, settings) => Session.open(away, settings) })).toMatchObject({
      ok: true,
      rowsChecked: 6_000,
    });
    await engine.deps.store.prisma.archiveSegment.deleteMany();
    await expect(verify({ connect: (_id, settings) => Session.open(away, settings) })).resolves.toMatchObject(
      {
        ok: false,
        problems: [{ code: 'SEGMENT_MISSING' }],
      },
    );
  });
});
