import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bytesOf } from '../../src/archive/parquet/footer.ts';
import { segmentFormat } from '../../src/archive/segment-formats.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

/** For each column its type in PostgreSQL, values by row, its type in DuckDB, and how both write a value the same. */
const COLUMNS = [
  ['id', 'integer', 'i', 'INTEGER', '$'],
  ['small', 'smallint', '(i % 1000)::smallint', 'SMALLINT', '$'],
  ['big', 'bigint', '9223372036854775807 - i', 'BIGINT', '$'],
  ['price', 'numeric(10,2)', 'i / 100.0', 'DECIMAL(10,2)', '$'],
  ['wide', 'numeric(38,10)', '-1234567890123456789012345678.0000000001 - i', 'DECIMAL(38,10)', '$'],
  ['yes', 'boolean', 'i % 3 = 0', 'BOOLEAN', '$'],
  ['r', 'real', 'i / 4.0', 'FLOAT', '$::int'],
  ['d', 'double precision', 'i / 4.0', 'DOUBLE', '$::int'],
  ['da', 'date', `date '1999-12-31' + i`, 'DATE', '$'],
  ['ti', 'time', `time '00:00:01' + i * interval '1 second'`, 'TIME', '$'],
  ['ts', 'timestamp', `timestamp '1969-12-31 23:59:59.000001' + i * interval '1 second'`, 'TIMESTAMP', '$'],
  ['u', 'uuid', 'md5(i::text)::uuid', 'UUID', '$'],
  ['t', 'text', `'☃ "' || i || E'\\\\ \\t\\n'`, 'VARCHAR', '$'],
  ['n', 'numeric', 'i / 3.0', 'VARCHAR', '$'],
  ['arr', 'int[]', 'ARRAY[i, NULL]', 'VARCHAR', '$'],
] as const;

let database: TestDatabase;
let engine: TestEngine;
let duck: DuckDBInstance;
let folder: string;
let segment: string;
let inPostgres: Record<string, unknown>[];

beforeAll(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  // Nothing is fetched from elsewhere.
  duck = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  await database.run(`
    CREATE TABLE item (${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')}, by bytea, at timestamptz);
    INSERT INTO item SELECT ${COLUMNS.map(([name, , value]) => (name === 'id' ? value : `CASE WHEN i % 7 > 0 THEN ${value} END`)).join(', ')},
        decode(lpad(to_hex(i), 8, '0'), 'hex'),
        CASE WHEN i % 500 = 0 THEN 'infinity' ELSE timestamptz '2024-02-29 12:00:00.123456+02' + i * interval '1 hour' END
      FROM generate_series(1, 4000) AS i;
    ANALYZE item`);
  inPostgres = await database.run(
    `SELECT ${COLUMNS.map(([name, , , , as]) => `(${as.replace('$', name)})::text AS ${name}`).join(', ')}, upper(encode(by, 'hex')) AS by,
            CASE WHEN isfinite(at) THEN (extract(epoch FROM at) * 1000000)::bigint::text END AS at FROM item ORDER BY item.id`,
  );
  const runId = await engine.queue(
    { name: 'item' },
    {
      kind: 'ARCHIVE',
      filter: { column: 'id', op: 'GT', value: '0' },
      dependents: 'REFUSE',
      pick: 'HEAP_RANGES',
      destination: { kind: 'FILES', store: 'local', format: 'PARQUET' },
    },
  );
  expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 4_000 } });
  folder = path.join(engine.archiveDir, runId);
  const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.parquet'));
  segment = path.join(folder, name);
});
afterAll(async () => {
  duck.closeSync();
  await engine.close();
  await database.drop();
});

async function query(statement: string): Promise<Record<string, unknown>[]> {
  const connection = await duck.connect();
  try {
    return (await connection.runAndReadAll(statement)).getRowObjectsJson();
  } finally {
    connection.closeSync();
  }
}

const READ = `SELECT ${COLUMNS.map(([name, , , , as]) => `(${as.replace('$', name)})::varchar AS ${name}`).join(', ')},
  hex("by") AS "by", epoch_us("at")::varchar AS "at"`;

describe('DuckDB', () => {
  it('reads a segment of several batches as one file, value by value', async () => {
    const [groups] = await query(
      `SELECT count(DISTINCT row_group_id)::int AS groups FROM parquet_metadata('${segment}')`,
    );
    expect(groups?.['groups']).toBeGreaterThan(1);
    expect(await query(`${READ} FROM '${segment}' ORDER BY id::int`)).toEqual(inPostgres);
  });

  it('finds the types that the page names', async () => {
    const described = await query(`DESCRIBE SELECT * FROM '${segment}'`);
    expect(described.map((column) => [column['column_name'], column['column_type']])).toEqual([
      ...COLUMNS.map(([name, , , type]) => [name, type]),
      ['by', 'BLOB'],
      ['at', 'TIMESTAMP WITH TIME ZONE'],
      ['declutter_row', 'VARCHAR'],
    ]);
  });

  it('finds whole the rows with a value that no typed column could hold', async () => {
    const rows = await query(
      `SELECT id, "at" IS NULL AS lacks, declutter_row LIKE id || '\t%\tinfinity' AS entire FROM '${segment}' WHERE declutter_row IS NOT NULL ORDER BY id`,
    );
    expect(rows).toEqual(
      [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000].map((id) => ({ id, lacks: true, entire: true })),
    );
  });

  it('reads a frame that was cut out of the segment, as it would an object of one batch', async () => {
    const archive = await findArchiveByRun(engine.deps.store, path.basename(folder));
    if (!archive) throw new Error('There is no archive');
    const bytes = await readFile(segment);
    const [, second] = await segmentFormat(archive, []).positions(bytesOf(bytes), bytes.length);
    const own = await mkdtemp(path.join(tmpdir(), 'declutter-frame-'));
    const frame = path.join(own, 'frame.parquet');
    await writeFile(frame, bytes.subarray(second?.start, (second?.start ?? 0) + (second?.length ?? 0)));
    const [read] = await query(`SELECT count(*)::int AS rows, min(id) > 1 AS later FROM '${frame}'`);
    expect(read).toMatchObject({ later: true });
    expect(read?.['rows']).toBeGreaterThan(100);
    await rm(own, { recursive: true });
  });
});
