import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parse } from 'graphql';
import type { TypedDocument } from '../src/cli/client/api-client.ts';
import { RunDocument } from '../src/cli/client/generated/api.ts';
import { makeAudit } from '../src/store/audit.ts';
import { openStore } from '../src/store/open-store.ts';
import { drawFault, type Fault, faultsNamed } from './fault-list.ts';
import { type FaultProduct, startFaultProduct } from './fault-product.ts';
import { compareTable } from './compare-tables.ts';
import { isRestorable, KINDS, makeTable, type SoakTable, tableOf, useTables } from './fault-tables.ts';
import type { Check } from './kills.ts';
import { persistently } from './persistently.ts';
import { runOf, startDeletion, startRestore } from './start-runs.ts';

interface Options {
  readonly faults: number;
  readonly rows: number;
  readonly folder: string;
  readonly check: Check;
  /** names of faults; none: all */
  readonly only: readonly string[];
  /** a file for what the workers say; null: they say nothing */
  readonly log: string | null;
}

const LEASE_MS = 2_000;

/** Enough for the deletions of a round, and again for its restores; then these come to an end. */
const MOST_AT_ONCE = 50;

const resumeDocument = parse('mutation Resume($id: ID!) { resumeRun(id: $id) { id } }') as TypedDocument<
  object,
  { id: string }
>;
const retryDocument = parse('mutation Retry($id: ID!) { retryRun(id: $id) { id } }') as TypedDocument<
  object,
  { id: string }
>;

const throttleDocument = parse(
  'mutation Hurry($id: ID!) { updateThrottle(runId: $id, throttle: { dutyCycle: 1, batchRows: 5000 }) { id } }',
) as TypedDocument<object, { id: string }>;

/** Random faults while an application writes; then every row is counted for. */
export async function soakThroughFaults(options: Options): Promise<void> {
  const { folder, check } = options;
  const drawn = faultsNamed(options.only);
  mkdirSync(path.join(folder, 'archives'), { recursive: true });
  const mounted = mountSmall(path.join(folder, 'archives'));
  const product = await startFaultProduct(folder, LEASE_MS, options.log);
  const tally = new Map<string, number>();
  const reasons = new Map<string, number>();
  try {
    const admin = await product.connect('postgres');
    await admin.query('CREATE DATABASE soak');
    await admin.end();
    await product.register('soak');
    for (let round = 1, left = options.faults; left > 0; round += 1) {
      left -= await playRound(product, round, left, { ...options, drawn, tally, reasons });
    }
    await checkAudit(product, check);
  } finally {
    await product.stop();
    if (mounted) execFileSync('umount', [path.join(folder, 'archives')]);
  }
  const lines = (counts: Map<string, number>) =>
    [...counts]
      .sort()
      .map(([what, n]) => `${n} x ${what}`)
      .join(', ');
  process.stdout.write(`Faults: ${lines(tally)}\nPauses: ${lines(reasons)}\n`);
}

interface Round extends Options {
  readonly drawn: readonly Fault[];
  readonly tally: Map<string, number>;
  readonly reasons: Map<string, number>;
}

interface Job {
  readonly table: SoakTable;
  readonly runId: string;
}

/** Every kind of deletion at once, then the archives are put back; returns how many faults there were. */
async function playRound(
  product: FaultProduct,
  round: number,
  left: number,
  options: Round,
): Promise<number> {
  const tables = KINDS.map((kind) => tableOf(kind, round, options.rows));
  const client = await product.connect();
  for (const table of tables) await makeTable(client, table);
  const stopped = new AbortController();
  const using = useTables(product, tables, stopped.signal);
  const jobs: Job[] = [];
  for (const table of tables) jobs.push({ table, runId: await startDeletion(product, table) });
  tell(round, 'begins');
  let faults = await drive(product, jobs, Math.min(left, MOST_AT_ONCE), options);
  tell(round, `all is gone that shall go, through ${faults} faults`);
  stopped.abort();
  const done = await using;
  options.check(`round ${round}: the application was at work`, done > 100, true);
  await client.end();
  for (const job of jobs) await compare(product, job, options, false);
  const archives = jobs.filter(({ table }) => isRestorable(table));
  const restores: Job[] = [];
  tell(round, 'every row is counted for');
  for (const { table, runId } of archives)
    restores.push({ table, runId: await startRestore(product, runId) });
  faults += await drive(product, restores, Math.min(left - faults, MOST_AT_ONCE), options);
  tell(round, `all is back, through ${faults} faults`);
  for (const job of restores) await compare(product, job, options, true);
  await clear(product, tables, jobs);
  return faults;
}

const begun = performance.now();

const tell = (round: number, what: string): void =>
  void process.stdout.write(
    `       ${Math.round((performance.now() - begun) / 1_000)} s: round ${round}: ${what}\n`,
  );

/** Faults, one after the other, until every run has succeeded; whoever waits for somebody is resumed. */
async function drive(
  product: FaultProduct,
  jobs: readonly Job[],
  most: number,
  options: Round,
): Promise<number> {
  const { drawn, tally, check } = options;
  const finished = new AbortController();
  const watching = (async () => {
    while (!finished.signal.aborted) {
      const states = await Promise.all(jobs.map(({ runId }) => nudge(product, runId, options)));
      if (states.every((state) => state === 'SUCCEEDED')) finished.abort();
      await rest(200);
    }
  })();
  const tables = jobs.map(({ table: { name } }) => name);
  let faults = 0;
  for (; faults < most && !finished.signal.aborted; faults += 1) {
    await rest(Math.random() * 1_500);
    const fault = drawFault(drawn);
    tally.set(fault.name, (tally.get(fault.name) ?? 0) + 1);
    await fault
      .happen(product, tables)
      .catch((error: unknown) => check(fault.name, String(error), 'no error'));
  }
  for (const { runId } of jobs) if (!finished.signal.aborted) await hurry(product, runId);
  await watching;
  return faults;
}

/** No fault is left to wait for. */
async function hurry(product: FaultProduct, id: string): Promise<void> {
  const hurried = async () => (await product.client()).request(throttleDocument, { id });
  await persistently(hurried, 3).catch(() => undefined); // it has ended meanwhile
}

/** Resumes a run that waits for a person, as one would who has seen its reason. */
async function nudge(product: FaultProduct, runId: string, { reasons, check }: Round): Promise<string> {
  try {
    const api = await product.client();
    const { run } = await api.request(RunDocument, { id: runId });
    if (run?.state !== 'PAUSED' && run?.state !== 'FAILED') return run?.state ?? 'UNKNOWN';
    const reason = `${run.state} ${run.stateCode ?? ''}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    if (run.state === 'FAILED')
      check(`${run.id}: ${run.stateReason ?? ''}`, reason, 'a run that pauses or goes on');
    await api.request(run.state === 'PAUSED' ? resumeDocument : retryDocument, { id: runId });
    return run.state;
  } catch {
    return 'UNKNOWN'; // the control store is away, or somebody was faster
  }
}

async function compare(
  product: FaultProduct,
  { table, runId }: Job,
  { check }: Options,
  isRestored: boolean,
) {
  const client = await product.connect();
  const archive = { root: product.archiveDir, runId };
  const { rows } = await client.query<{ rows: string }>(
    `SELECT sum(rows) + (SELECT coalesce(sum(rows), 0) FROM declutter.part WHERE run_id = $1 AND part >= 0) AS rows FROM declutter.batch WHERE run_id = $1`,
    [runId],
  );
  const { result } = await persistently(() => runOf(product, runId));
  check(
    `${table.name}: rows that the run counted`,
    result.rowsArchived || result.rowsDeleted || result.rowsRestored,
    Number(rows[0]?.rows),
  );
  for (const { what, seen, wanted } of await compareTable(client, table, archive, isRestored))
    check(what, seen, wanted);
  await client.end();
}

async function clear(
  product: FaultProduct,
  tables: readonly SoakTable[],
  jobs: readonly Job[],
): Promise<void> {
  const client = await product.connect();
  for (const { name } of tables)
    await client.query(
      `DROP TABLE IF EXISTS ${['', '_child', '_note', '_link'].map((end) => name + end).join(', ')} CASCADE`,
    );
  await client.query('DROP SCHEMA app CASCADE');
  await client.end();
  for (const { runId } of jobs)
    rmSync(path.join(product.archiveDir, runId), { recursive: true, force: true });
  rmSync(path.join(product.archiveDir, 'orphans'), { recursive: true, force: true });
}

async function checkAudit({ controlUrl }: FaultProduct, check: Options['check']): Promise<void> {
  const store = await openStore(controlUrl);
  const verdict = await makeAudit(store).verify();
  check(`the audit chain of ${verdict.checked} events is whole`, verdict.ok, true);
  await store.close();
}

/** A disk of its own, which can be filled; only root can have one. */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    process.stdout.write('       no right to mount: the archives are not on a disk that can be full\n');
    return false;
  }
}
