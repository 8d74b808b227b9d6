import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import type pg from 'pg';
import { type BenchServer, startBenchServer } from '../bench/bench-server.ts';
import { INTERLEAVED, makeTemplate } from '../bench/bench-table.ts';
import { type Product, startProduct } from '../bench/product.ts';
import { type ApiClient } from '../src/cli/client/api-client.ts';
import { type RunReport, waitForRun } from '../src/cli/client/follow-run.ts';
import {
  PlanArchiveDocument,
  PlanPurgeDocument,
  PlanRestoreDocument,
  RunDocument,
  StartRunDocument,
  VerifyArchiveDocument,
} from '../src/cli/client/generated/api.ts';
import { loadFiles, multisetOf } from './ledger-of-rows.ts';

/** Says whether it was so, and remembers when not. */
export type Check = (what: string, seen: unknown, wanted: unknown) => void;

export interface KillOptions {
  readonly folder: string;
  readonly rows: number;
  readonly kills: number;
  readonly check: Check;
}

type Kind = 'FILES' | 'TABLE' | 'PURGE';

interface Soak extends KillOptions {
  readonly server: BenchServer;
  readonly product: Product;
}

/**
 * Workers killed with -9 at random while an application updates rows, on millions of them; then every row is counted for.
 */
export async function soakThroughKills(options: KillOptions): Promise<void> {
  const server = await startBenchServer();
  try {
    const product = await startProduct(server, options.folder);
    try {
      await makeTemplate(server, 'soak_template', options.rows);
      for (const kind of ['FILES', 'TABLE', 'PURGE'] as const)
        await soak(kind, { ...options, server, product });
    } finally {
      await product.stop();
    }
  } finally {
    await server.stop();
  }
}

async function soak(kind: Kind, scene: Soak): Promise<void> {
  const { server, product, folder, check } = scene;
  const database = `soak_${kind.toLowerCase()}`;
  await server.copy('soak_template', database);
  await product.register(database);
  const client = await server.connect(database);
  const original = await multisetOf(client, 'SELECT * FROM records');
  const plan = await planOf(await product.client(), kind, database);
  const { startRun } = await (
    await product.client()
  ).request(StartRunDocument, {
    planId: plan.id,
    planHash: plan.hash,
    idempotencyKey: plan.id,
  });
  const rescue = rescueRows(client, startRun.id, scene);
  const kills = await killAtRandom(scene, startRun.id, plan.impact.rows);
  const run = await waitForRun(await product.client(), startRun.id, { pollMs: 20_000 });
  const rescued = await rescue;
  check(`${kind}: state`, run.state, 'SUCCEEDED');
  check(`${kind}: workers killed with -9`, kills, scene.kills);
  await countRows(kind, client, run, {
    rescued,
    original,
    check,
    root: path.join(folder, 'data', 'archives'),
  });
  if (kind !== 'PURGE') await restoreAll(kind, client, run, { rescued, original, check, product });
  await client.end();
}

async function planOf(client: ApiClient, kind: Kind, database: string) {
  const input = { database, table: 'records', where: INTERLEAVED.filter, throttle: { dutyCycle: 0.3 } };
  if (kind === 'PURGE') return (await client.request(PlanPurgeDocument, { input })).planPurge;
  const destination =
    kind === 'FILES'
      ? ({ kind, store: 'local', format: 'COPY_ZSTD' } as const)
      : ({ kind, schema: 'public', table: 'records_archive' } as const);
  return (await client.request(PlanArchiveDocument, { input: { ...input, destination } })).planArchive;
}

async function runNow(product: Product, id: string): Promise<RunReport> {
  const { run } = await (await product.client()).request(RunDocument, { id });
  if (!run) throw new Error('The run is gone.');
  return run;
}

/** Each kill comes somewhere in its own part of the run. */
async function killAtRandom({ product, kills: most }: Soak, runId: string, rows: number): Promise<number> {
  let kills = 0;
  for (; kills < most; kills += 1) {
    const at = ((kills + Math.random()) / most) * rows * 0.9;
    for (let done = -1; done < at;) {
      const run = await runNow(product, runId);
      if (run.state === 'SUCCEEDED' || run.state === 'FAILED') return kills;
      done = run.progress.rowsDone;
      await rest(50);
    }
    await rest(Math.random() * 50);
    await product.killWorker();
  }
  return kills;
}

/** The application beside it: takes rows out of the filter, one now and then, and remembers which it really got. */
async function rescueRows(client: pg.Client, runId: string, { product, rows: all }: Soak): Promise<number> {
  let rescued = 0;
  for (let n = 0; ; n += 1) {
    const { rows } = await client.query<{ id: string }>(
      `UPDATE records SET status = 'rescued' WHERE id = (SELECT id FROM records WHERE status = 'expired' AND id > $1 ORDER BY id LIMIT 1) AND status = 'expired' RETURNING id`,
      [Math.floor(Math.random() * all)],
    );
    rescued += rows.length;
    if (n % 10 === 0 && (await runNow(product, runId)).state === 'SUCCEEDED') return rescued;
    await rest(100);
  }
}

const UNRESCUED = `SELECT id, created_at, tenant, CASE status WHEN 'rescued' THEN 'expired' ELSE status END AS status, payload FROM`;

interface Counted {
  readonly rescued: number;
  readonly original: string;
  readonly check: Check;
}

async function countRows(
  kind: Kind,
  client: pg.Client,
  run: RunReport,
  { rescued, original, check, root }: Counted & { root: string },
) {
  const live = await countOf(client, `SELECT FROM records WHERE status = 'rescued'`);
  check(`${kind}: rows taken out of the filter meanwhile that live on with their new value`, live, rescued);
  check(
    `${kind}: rows of the filter left`,
    await countOf(client, `SELECT FROM records WHERE status = 'expired'`),
    0,
  );
  if (kind === 'PURGE') {
    check(
      'PURGE: rows deleted',
      run.result.rowsDeleted,
      Number(original.split(' ')[0]) - (await countOf(client, 'SELECT FROM records')),
    );
    return;
  }
  if (kind === 'FILES') {
    await client.query('CREATE TABLE records_archive (LIKE records)');
    const files = await loadFiles(client, root, run.id, () => Promise.resolve('records_archive'));
    check(`FILES: wrong checksums in ${files.segments} segments`, files.wrong.join(' '), '');
    check('FILES: files that the manifest does not know', files.stray.join(' '), '');
  }
  const both = await multisetOf(client, `${UNRESCUED} records UNION ALL ${UNRESCUED} records_archive`);
  check(`${kind}: live + archive = original`, both, original);
  const twice = `SELECT id FROM (SELECT id FROM records UNION ALL SELECT id FROM records_archive) AS t GROUP BY id HAVING count(*) > 1`;
  check(`${kind}: rows that are there twice`, await countOf(client, twice), 0);
}

async function restoreAll(
  kind: Kind,
  client: pg.Client,
  run: RunReport,
  { rescued, original, check, product }: Counted & { product: Product },
) {
  const api = await product.client();
  const archiveId = run.archive?.id ?? '';
  const { verifyArchive } = await api.request(VerifyArchiveDocument, { id: archiveId });
  check(`${kind}: verifyArchive`, verifyArchive.ok, true);
  const { planRestore } = await api.request(PlanRestoreDocument, {
    input: { archiveId, throttle: { dutyCycle: 0.8 } },
  });
  const { startRun } = await api.request(StartRunDocument, {
    planId: planRestore.id,
    planHash: planRestore.hash,
    idempotencyKey: planRestore.id,
  });
  const restored = await waitForRun(await product.client(), startRun.id, { pollMs: 20_000 });
  check(`${kind}: rows restored`, restored.result.rowsRestored, run.result.rowsArchived);
  check(
    `${kind}: the table after the restore, ${rescued} rescued rows aside`,
    await multisetOf(client, `${UNRESCUED} records`),
    original,
  );
}

const countOf = async (client: pg.Client, query: string): Promise<number> =>
  Number((await client.query<{ n: string }>(`SELECT count(*) AS n FROM (${query}) AS t`)).rows[0]?.n);
