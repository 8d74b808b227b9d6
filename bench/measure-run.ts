import { type RunReport, waitForRun } from '../src/cli/client/follow-run.ts';
import {
  PlanArchiveDocument,
  PlanPurgeDocument,
  type PlanReportFragment,
  StartRunDocument,
  type ThrottleInput,
} from '../src/cli/client/generated/api.ts';
import type { BenchServer } from './bench-server.ts';
import type { Selection } from './bench-table.ts';
import type { Product } from './product.ts';

export interface RunMeasured {
  readonly rows: number;
  /** From the begin of the first batch to the commit of the last one. */
  readonly seconds: number;
  /** From startRun to the end that the API tells, with everything that a run does besides its batches. */
  readonly wallSeconds: number;
  readonly batches: number;
  /** Of one batch, from commit to commit, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Rows a second of the last tenth of the batches against those of the first. */
  readonly lastTenth: number;
  readonly archiveBytes: number | null;
}

/** No rest, and batches as long as an application that is not in a hurry lets pass; the defaults aim at 5 ms and rest four fifths of the time. */
export const NO_REST: ThrottleInput = { dutyCycle: 1 };

/** Plans, starts and follows one run; its batches are read from the ledger in the database itself. */
export async function measureRun(
  product: Product,
  server: BenchServer,
  database: string,
  kind: 'PURGE' | 'ARCHIVE',
  selection: Selection,
): Promise<RunMeasured> {
  const client = await product.client();
  const input = {
    database,
    table: 'records',
    where: selection.filter,
    limits: { maxShare: 1 },
    throttle: NO_REST,
  };
  const plan = await (kind === 'PURGE'
    ? client.request(PlanPurgeDocument, { input }).then(({ planPurge }) => planPurge)
    : client
        .request(PlanArchiveDocument, { input: { ...input, destination: FILES } })
        .then(({ planArchive }) => planArchive));
  const started = performance.now();
  const { startRun } = await client.request(StartRunDocument, startOf(plan));
  const run = await waitForRun(client, startRun.id, { pollMs: 20_000 });
  const wallSeconds = (performance.now() - started) / 1000;
  if (run.state !== 'SUCCEEDED') throw new Error(`The ${kind} is ${run.state}: ${run.stateReason ?? ''}`);
  return {
    ...(await readLedger(server, database, run)),
    wallSeconds,
    archiveBytes: run.archive?.bytes ?? null,
  };
}

const FILES = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } as const;

function startOf(plan: PlanReportFragment) {
  if (plan.state !== 'READY') {
    throw new Error(
      `The plan is ${plan.state}: ${plan.blockers.map((blocker) => blocker.message).join(' ')}`,
    );
  }
  return { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
}

async function readLedger(server: BenchServer, database: string, run: RunReport) {
  const client = await server.connect(database);
  const { rows } = await client.query<
    Record<'rows' | 'seconds' | 'batches' | 'p50' | 'p99' | 'longest' | 'lastTenth', number>
  >(
    `WITH batch AS (
       SELECT rows, committed_at, ms, ntile(10) OVER (ORDER BY number) AS tenth, 1000 * extract(epoch FROM committed_at - lag(committed_at) OVER (ORDER BY number)) AS took
         FROM declutter.batch WHERE run_id = $1)
     SELECT sum(rows)::float8 AS rows, count(*)::float8 AS batches,
            extract(epoch FROM max(committed_at) - min(committed_at - ms * interval '1 millisecond'))::float8 AS seconds,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(took, ms)::float8) AS p50,
            percentile_cont(0.99) WITHIN GROUP (ORDER BY coalesce(took, ms)::float8) AS p99,
            max(coalesce(took, ms)::float8) AS longest,
            ((sum(rows) FILTER (WHERE tenth = 10) / sum(coalesce(took, ms)) FILTER (WHERE tenth = 10))
              / (sum(rows) FILTER (WHERE tenth = 1) / sum(coalesce(took, ms)) FILTER (WHERE tenth = 1)))::float8 AS "lastTenth"
       FROM batch`,
    [run.id],
  );
  await client.end();
  const [figures] = rows;
  if (!figures) throw new Error('The ledger is empty.');
  return figures;
}
