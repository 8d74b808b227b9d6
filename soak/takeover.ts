import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import type pg from 'pg';
import { PlanArchiveDocument, StartRunDocument } from '../src/cli/client/generated/api.ts';
import { openStore, type Store } from '../src/store/open-store.ts';
import { type FaultProduct, startFaultProduct } from './fault-product.ts';
import { FILTER, makeTable, tableOf } from './fault-tables.ts';
import type { Check } from './kills.ts';

const DEFAULT_LEASE_MS = 30_000;
const MOST_MS = 35_000;

/** With the times that are set by default: from kill -9 until another worker has the fence, and commits. */
export async function measureTakeover({ folder, check }: { folder: string; check: Check }): Promise<void> {
  mkdirSync(path.join(folder, 'archives'), { recursive: true });
  const product = await startFaultProduct(folder, DEFAULT_LEASE_MS);
  const store = await openStore(product.controlUrl);
  try {
    const admin = await product.connect('postgres');
    await admin.query('CREATE DATABASE soak');
    await admin.end();
    await product.register('soak');
    const client = await product.connect();
    const plain = await takeoverOf(product, store, client, 1, false);
    check(`another worker went on ${plain} ms after kill -9, within 35 s`, plain <= MOST_MS, true);
    const hanging = await takeoverOf(product, store, client, 2, true);
    check(
      `the same, with a backend that hangs in a write to the dead: ${hanging} ms`,
      hanging <= MOST_MS,
      true,
    );
    await client.end();
  } finally {
    await store.close();
    await product.stop();
  }
}

async function takeoverOf(
  product: FaultProduct,
  store: Store,
  client: pg.Client,
  n: number,
  hangs: boolean,
): Promise<number> {
  const table = tableOf('FILES', n, 100_000);
  await makeTable(client, table);
  // Each batch is more than the buffers of a connection hold.
  if (hangs)
    await client.query(
      `UPDATE ${table.name} SET payload = (SELECT jsonb_agg(md5(id::text || n)) FROM generate_series(1, 2000) AS n) WHERE id <= 1000; CLUSTER ${table.name} USING ${table.name}_pkey`,
    );
  if (hangs)
    product.proxy.loses = (direction, piece, connection) => {
      if (direction === 'TO_SERVER' && piece.includes('COPY (')) product.proxy.holdBack(connection);
      return false;
    };
  const runId = await startArchive(product, table.name);
  if (hangs) await until(client, `SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite'`);
  else await until(client, `SELECT FROM declutter.batch WHERE run_id = '${runId}' AND number = 3`);
  const { workerId } = await store.prisma.run.findUniqueOrThrow({ where: { id: runId } });
  const worker = product.workers.find(({ pid }) => workerId?.startsWith(`${pid}-`));
  const killedAt = performance.now();
  await worker?.kill();
  product.proxy.loses = () => false;
  await until(client, `SELECT FROM declutter.batch WHERE run_id = '${runId}' AND fence = 2`);
  const ms = Math.round(performance.now() - killedAt);
  await worker?.replace('SIGKILL');
  return ms;
}

async function startArchive(product: FaultProduct, table: string): Promise<string> {
  const api = await product.client();
  const destination = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } as const;
  const input = {
    database: 'soak',
    table,
    where: FILTER,
    destination,
    throttle: { dutyCycle: 0.2, batchRows: 500 },
  };
  const { planArchive: plan } = await api.request(PlanArchiveDocument, { input });
  const request = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  return (await api.request(StartRunDocument, request)).startRun.id;
}

async function until(client: pg.Client, statement: string): Promise<void> {
  for (;;) {
    const found = await client
      .query(statement)
      .then(({ rowCount }) => rowCount ?? 0)
      .catch(() => 0); // no ledger yet
    if (found > 0) return;
    await rest(20);
  }
}
