import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect } from '@jest/globals';
import type { ArchiveFormat } from '../../src/domain/words.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { EVERY_TYPE, makeEveryType } from '../support/every-type.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { debianDatabase, itOnDebian, type TestDatabase } from '../support/postgres.ts';

const run = promisify(execFile);
const PAGE = readFileSync(new URL('../../docs/archive-format.md', import.meta.url), 'utf8');
const KEY = Buffer.alloc(32, 7);

/** The page's blocks in a language, in order. */
const blocks = (language: string): string[] =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] as string,
  );

const [PREPARE = '', COPY = '', JSONL = '', COUNT = ''] = blocks('sh');
const [DECRYPT = ''] = blocks('js');
const ROWS = { COPY_ZSTD: COPY, JSONL_ZSTD: JSONL };

let database: TestDatabase;
let engine: TestEngine;

afterEach(async () => {
  await engine.close();
  await database.drop();
});

async function archived(format: ArchiveFormat): Promise<string> {
  const runId = await engine.queue(EVERY_TYPE, {
    kind: 'ARCHIVE',
    filter: { column: 'Old at', op: 'LT', value: '2999-01-01' },
    dependents: 'REFUSE',
    pick: 'HEAP_RANGES',
    destination: { kind: 'FILES', store: 'local', format },
  });
  expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 600 } });
  return path.join(engine.archiveDir, runId);
}

/** As somebody without this project would: psql, zstd, jq and sha256sum, in the folder of the run. */
async function restore(folder: string, rows: string): Promise<string> {
  const { ip, port, user, database: name, password } = database.address;
  const PG = {
    PGHOST: ip,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: await password(),
    PGDATABASE: name,
  };
  const script = ['set -euo pipefail', PREPARE, rows, COUNT].join('\n');
  return (await run('bash', ['-c', script], { cwd: folder, env: { ...process.env, ...PG } })).stdout;
}

async function decrypt(folder: string, key: Buffer): Promise<void> {
  await writeFile(path.join(folder, 'decrypt.mjs'), DECRYPT);
  const env = { ...process.env, ARCHIVE_KEY: key.toString('base64') };
  await run(process.execPath, ['decrypt.mjs'], { cwd: folder, env });
}

const TABLE = `"Sch ""é"""."Ta ble ""☃"", x"`;

describe.each(['COPY_ZSTD', 'JSONL_ZSTD'] as const)('an archive in %s', (format) => {
  itOnDebian.each([
    { encryption: 'in the clear', keys: [] },
    { encryption: 'encrypted', keys: [KEY.toString('hex')] },
  ])('$encryption gives every type back by what docs/archive-format.md says', async ({ keys }) => {
    database = await debianDatabase();
    engine = await testEngine(database, undefined, null, keys);
    await makeEveryType(database);
    const original = await fingerprintOf(database, `SELECT * FROM ${TABLE}`);
    const folder = await archived(format);
    if (keys.length > 0) await decrypt(folder, KEY);
    expect(await restore(folder, ROWS[format])).toMatch(/\n600\n600\n$/);
    expect(await fingerprintOf(database, 'SELECT * FROM rows_back')).toEqual(original);
  });
});

describe('the program that decrypts', () => {
  itOnDebian('refuses another key, and a segment that was changed', async () => {
    database = await debianDatabase();
    engine = await testEngine(database, undefined, null, [KEY.toString('hex')]);
    await makeEveryType(database);
    const folder = await archived('PARQUET');
    const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.enc'));
    expect(name).toMatch(/\.parquet\.enc$/);
    await expect(decrypt(folder, Buffer.alloc(32, 8))).rejects.toThrow('unable to authenticate');
    const segment = await readFile(path.join(folder, name));
    segment[500] = (segment[500] as number) ^ 1;
    await writeFile(path.join(folder, name), segment);
    await expect(decrypt(folder, KEY)).rejects.toThrow('unable to authenticate');
  });
});
