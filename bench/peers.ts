import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Selection } from './bench-table.ts';
import type { BenchServer } from './bench-server.ts';

export interface Measured {
  readonly rows: number;
  readonly seconds: number;
}

/** The limit: everything in one statement, which nobody can stop and everybody waits for. */
export async function oneBigDelete(
  server: BenchServer,
  database: string,
  { where }: Selection,
): Promise<Measured> {
  const client = await server.connect(database);
  const started = performance.now();
  const { rowCount } = await client.query(`DELETE FROM public.records WHERE ${where}`);
  const seconds = (performance.now() - started) / 1000;
  await client.end();
  return { rows: rowCount ?? 0, seconds };
}

/**
 * The usual loop, which looks for the next thousand rows again and again. It gets slower with every turn, so that the time it is
 * given speaks for it.
 */
export async function usualLoop(
  server: BenchServer,
  database: string,
  { where }: Selection,
  seconds: number,
): Promise<Measured> {
  const client = await server.connect(database);
  const started = performance.now();
  const taken = () => (performance.now() - started) / 1000;
  let rows = 0;
  for (let gone = 1; gone > 0 && taken() < seconds; rows += gone) {
    const { rowCount } = await client.query(
      `DELETE FROM public.records WHERE id IN (SELECT id FROM public.records WHERE ${where} LIMIT 1000)`,
    );
    gone = rowCount ?? 0;
  }
  const measured = { rows, seconds: taken() };
  await client.end();
  return measured;
}

interface Row {
  readonly id: string;
}

/** What one would script: select some rows, append them to a file, delete them by their keys. */
export async function scriptedArchive(
  server: BenchServer,
  database: string,
  { where }: Selection,
  file: string,
): Promise<Measured> {
  const client = await server.connect(database);
  const out = createWriteStream(file);
  const started = performance.now();
  let rows = 0;
  for (;;) {
    const batch = await client.query<Row>(
      `SELECT * FROM public.records WHERE ${where} ORDER BY id LIMIT 5000`,
    );
    if (batch.rows.length === 0) break;
    const text = batch.rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    if (!out.write(text)) await once(out, 'drain');
    await client.query('DELETE FROM public.records WHERE id = ANY($1)', [batch.rows.map((row) => row.id)]);
    rows += batch.rows.length;
  }
  out.end();
  await once(out, 'finish');
  const seconds = (performance.now() - started) / 1000;
  await client.end();
  return { rows, seconds };
}
