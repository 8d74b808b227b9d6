import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readExactly } from '../../src/archive/read-file.ts';
import type { ArchiveDestination } from '../../src/domain/plan.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { s3Server } from '../support/s3-server.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { EVERY_TYPE, makeEveryType } from '../support/every-type.ts';
import { fingerprintOf, loadArchive } from '../support/fingerprint.ts';
import { type Version, VERSIONS } from '../support/installations.ts';
import {
  availableVersions,
  debianDatabase,
  itOnDebian,
  type TestDatabase,
  testDatabase,
} from '../support/postgres.ts';

let database: TestDatabase;
let engine: TestEngine;

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const SOURCE = `"Sch ""é"""."Ta ble ""☃"", x"`;
const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' };
const S3: ArchiveDestination = { kind: 'S3', store: 's3', format: 'COPY_ZSTD' };
const TABLE: ArchiveDestination = { kind: 'TABLE', schema: 'public', table: 'Ar"chive é' };

/** Each version, and each destination by the oldest or the newest. */
const COPIES: readonly (readonly [ArchiveDestination, Version])[] = [
  ...VERSIONS.map((version) => [FILES, version] as const),
  [S3, 18],
  [TABLE, 14],
  [TABLE, 18],
];

/** These prove on each batch that its rows come back the same; what they are for other programs has tests of its own. */
const OTHER_FORMATS: readonly (readonly [ArchiveDestination, Version])[] = [
  [{ ...FILES, format: 'JSONL_ZSTD' }, 14],
  [{ ...S3, format: 'JSONL_ZSTD' }, 18],
  [{ ...FILES, format: 'PARQUET' }, 18],
  [{ ...S3, format: 'PARQUET' }, 14],
];

const available = (those: typeof COPIES) =>
  those.filter(([, version]) => availableVersions().includes(version));

const bucket = await s3Server();
afterAll(() => bucket.close());

/** What `aws s3 cp --recursive` does. */
async function download(runId: string): Promise<void> {
  await mkdir(path.join(engine.archiveDir, runId));
  for (const location of await bucket.store.list(runId)) {
    const file = await bucket.store.open(location);
    await writeFile(path.join(engine.archiveDir, location), await readExactly(file, 0, file.size));
  }
}

/** A table with what is kept, by other means than ours; null: of a format that PostgreSQL has no means for. */
async function keptRows(destination: ArchiveDestination, runId: string): Promise<string | null> {
  if (destination.kind === 'TABLE') return '"Ar""chive é"';
  if (destination.format !== 'COPY_ZSTD') return null;
  if (destination.kind === 'S3') await download(runId);
  await loadArchive(database, engine.archiveDir, runId, SOURCE, 'kept');
  return 'kept';
}

/** Archives two thirds of a table with every type, checks what is kept by other means, and puts it back. */
async function roundTrip(destination: ArchiveDestination): Promise<void> {
  await makeEveryType(database);
  const original = await fingerprintOf(database, `SELECT * FROM ${SOURCE}`);
  const cutoff = new Date(Date.now() - 200.5 * 86_400_000).toISOString();
  const runId = await engine.queue(EVERY_TYPE, {
    kind: 'ARCHIVE',
    filter: { column: 'Old at', op: 'LT', value: cutoff },
    dependents: 'REFUSE',
    pick: 'HEAP_RANGES',
    destination,
  });
  expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 400 } });
  expect(await database.run(`SELECT count(*)::int AS rows FROM ${SOURCE}`)).toEqual([{ rows: 200 }]);
  const kept = await keptRows(destination, runId);
  if (kept !== null)
    expect(await fingerprintOf(database, `SELECT * FROM ${SOURCE} UNION ALL SELECT * FROM ${kept}`)).toEqual(
      original,
    );

  const archive = await findArchiveByRun(engine.deps.store, runId);
  const restoreId = await engine.queue(EVERY_TYPE, {
    kind: 'RESTORE',
    archiveId: archive?.id ?? '',
    sourceRunId: runId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema: EVERY_TYPE.schema,
    table: EVERY_TYPE.name,
  });
  expect(await engine.work(restoreId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: 400 } });
  expect(await fingerprintOf(database, `SELECT * FROM ${SOURCE}`)).toEqual(original);
  const [next] = await database.run(
    `INSERT INTO ${SOURCE} ("Old at") VALUES (now()) RETURNING "Id"::int AS id`,
  );
  expect(next?.['id']).toBeGreaterThan(600);
}

describe('an archive', () => {
  it.each(available(COPIES))(
    'in %j gives every type back as it was, on PostgreSQL %i',
    async (destination, version) => {
      database = await testDatabase(version);
      engine = await testEngine(database, undefined, bucket.settings);
      await roundTrip(destination);
    },
  );

  it.each(available(OTHER_FORMATS))(
    'in %j, encrypted, gives every type back as it was, on PostgreSQL %i',
    async (destination, version) => {
      database = await testDatabase(version);
      engine = await testEngine(database, undefined, bucket.settings, ['ab'.repeat(32)]);
      await roundTrip(destination);
    },
  );

  itOnDebian("in files gives every type back as it was, on Debian's PostgreSQL 15", async () => {
    database = await debianDatabase();
    engine = await testEngine(database, undefined, bucket.settings);
    await roundTrip(FILES);
  });
});
