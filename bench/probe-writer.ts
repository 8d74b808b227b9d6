/**
 * One small UPDATE after the other, in a process of its own: nothing else that a benchmark does delays one. It begins and stops when
 * its parent says so.
 */
import { once } from 'node:events';
import { setTimeout as rest } from 'node:timers/promises';
import pg from 'pg';

const PROBE_MS = 2;

/** What the probe has seen, in milliseconds. */
export interface Probed {
  /** that one UPDATE took at most */
  readonly stallMs: number;
  /** that the probe itself, which wanted nothing of the server then, came late at most: what the machine does to everybody */
  readonly lateMs: number;
}

async function probe(client: pg.Client, stopped: AbortSignal): Promise<Probed> {
  const { rows } = await client.query<{ id: string }>(
    'SELECT id FROM public.records TABLESAMPLE system (1) LIMIT 1000',
  );
  process.send?.('ready');
  await once(process, 'message');
  let [stallMs, lateMs] = [0, 0];
  for (let turn = 0; !stopped.aborted; turn += 1) {
    const begun = performance.now();
    await client.query({
      name: 'probe',
      text: `UPDATE public.records SET status = 'probed' WHERE id = $1`,
      values: [rows[turn % rows.length]?.id],
    });
    const ended = performance.now();
    await rest(PROBE_MS);
    stallMs = Math.max(stallMs, ended - begun);
    lateMs = Math.max(lateMs, performance.now() - ended - PROBE_MS);
  }
  return { stallMs, lateMs };
}

const over = new AbortController();
process.on('message', (message) => {
  if (message === 'stop') over.abort();
});
const client = new pg.Client({ connectionString: process.env['PROBE_URL'], application_name: 'probe' });
await client.connect();
process.send?.(await probe(client, over.signal));
await client.end();
process.disconnect();
