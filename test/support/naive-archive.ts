import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { compress } from '../../src/archive/zstd.ts';

/** Two ways that look right. DELETE_FIRST: the rows are written once their delete has committed. COPY_FIRST: what the filter finds is deleted after a copy of it was written. */
export const NAIVE_ORDERS = ['DELETE_FIRST', 'COPY_FIRST'] as const;

export interface NaiveJob {
  readonly url: string;
  readonly archiveDir: string;
  readonly runId: string;
  readonly table: string;
  readonly where: string;
  readonly order: (typeof NAIVE_ORDERS)[number];
  readonly batchRows: number;
}

/**
 * An archive as one would write it at first, in the files that the product writes: it shows that whoever looks for lost rows
 * finds them. between: after the first half of each batch.
 */
export async function archiveNaively(job: NaiveJob, between: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: job.url, application_name: 'naive' });
  client.on('error', () => undefined); // the statement under way fails too, and says why
  await client.connect();
  try {
    await writeManifest(job);
    while (await archiveBatch(client, job, between));
  } finally {
    await client.end();
  }
}

async function archiveBatch(
  client: pg.Client,
  job: NaiveJob,
  between: () => Promise<void>,
): Promise<boolean> {
  const { table, where, batchRows, order } = job;
  const { rows } = await client.query<{ id: string }>(
    `SELECT max(id) AS id FROM (SELECT id FROM ${table} WHERE ${where} ORDER BY id LIMIT ${batchRows}) AS batch`,
  );
  const last = rows[0]?.id;
  if (last == null) return false;
  const chosen = `FROM ${table} WHERE ${where} AND id <= ${last}`;
  if (order === 'DELETE_FIRST') {
    const text = await copied(client, `COPY (DELETE ${chosen} RETURNING *) TO STDOUT`);
    await between();
    await append(job, text);
  } else {
    await append(job, await copied(client, `COPY (SELECT * ${chosen}) TO STDOUT`));
    await between();
    await client.query(`DELETE ${chosen}`);
  }
  return true;
}

async function copied(client: pg.Client, statement: string): Promise<Buffer> {
  return Buffer.concat((await client.query(copyTo(statement)).toArray()) as Buffer[]);
}

const fileOf = ({ archiveDir, runId }: NaiveJob) => path.join(archiveDir, runId, '000001.copy.zst');

async function append(job: NaiveJob, text: Buffer): Promise<void> {
  await appendFile(fileOf(job), await compress(text));
  await writeManifest(job);
}

async function writeManifest(job: NaiveJob): Promise<void> {
  const file = fileOf(job);
  await mkdir(path.dirname(file), { recursive: true });
  await appendFile(file, '');
  const content = await readFile(file);
  const segment = {
    location: path.relative(job.archiveDir, file),
    rows: 0,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  await writeFile(
    path.join(path.dirname(file), 'manifest.json'),
    JSON.stringify({ rows: 0, segments: [segment] }),
  );
}
