import type { ArchiveKind } from '../../src/domain/words.ts';
import { mayFollow, RUN_TRANSITIONS } from '../../src/domain/run.ts';
import type { RunState } from '../../src/domain/words.ts';
import { requireRun } from '../../src/store/runs.ts';
import type { TestEngine } from './engine.ts';
import type { Before } from './fault-scene.ts';
import { fingerprintOf, loadArchive, strayFiles } from './fingerprint.ts';
import type { TestDatabase } from './postgres.ts';

interface Archived {
  readonly archiveDir: string;
  readonly runId: string;
  /** null: the rows were purged */
  readonly destination: ArchiveKind | null;
  readonly before: Before;
}

/** What is wrong with the rows: none may be lost, there twice, changed, or where nobody looks for it. */
export async function rowViolations(database: TestDatabase, archived: Archived): Promise<string[]> {
  const { archiveDir, runId, destination, before } = archived;
  const wrong: string[] = [];
  const expectEqual = (what: string, seen: unknown, wanted: unknown) => {
    const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)];
    if (a !== b) wrong.push(`${what}: ${a} instead of ${b}`);
  };
  expectEqual(
    'rows that were not chosen',
    await fingerprintOf(database, 'SELECT * FROM event WHERE NOT old'),
    before.others,
  );
  if (destination === null) {
    expectEqual('rows left', await fingerprintOf(database, 'SELECT * FROM event'), before.others);
    return wrong;
  }
  if (destination === 'FILES') wrong.push(...(await fileViolations(database, archiveDir, runId)));
  const both = 'SELECT * FROM event UNION ALL SELECT * FROM kept';
  expectEqual('live and archived rows', await fingerprintOf(database, both), before.all);
  const twice = await database.run(
    `SELECT id::int FROM (${both}) AS t GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 3`,
  );
  expectEqual('keys that are there twice', twice, []);
  return wrong;
}

/** Loads the files into the table kept, by the manifest alone. */
async function fileViolations(database: TestDatabase, archiveDir: string, runId: string): Promise<string[]> {
  await database.run('DROP TABLE IF EXISTS kept');
  try {
    const manifest = await loadArchive(database, archiveDir, runId, 'event', 'kept');
    const stray = await strayFiles(archiveDir, runId, manifest);
    return stray.map((name) => `a file that nothing lists: ${name}`);
  } catch (error) {
    await database.run('CREATE TABLE IF NOT EXISTS kept (LIKE event)');
    return [`an archive that cannot be read: ${String(error)}`];
  }
}

/** What is wrong with what is written about the run: states, counters, the ledger. */
export async function recordViolations(
  database: TestDatabase,
  { deps: { store } }: TestEngine,
  runId: string,
): Promise<string[]> {
  const run = await requireRun(store, runId);
  const wrong = run.state === 'SUCCEEDED' ? [] : [`the run is ${run.state}: ${run.stateReason ?? ''}`];
  const events = await store.prisma.runEvent.findMany({ where: { runId }, orderBy: { sequence: 'asc' } });
  wrong.push(...illegalSteps(events.map(({ kind }) => (kind === 'CLAIMED' ? 'RUNNING' : kind))));
  const [ledger] = await database.run(
    `SELECT coalesce(sum(rows), 0)::int AS rows, count(*)::int AS batches, count(DISTINCT number)::int AS numbers, coalesce(max(number), 0)::int AS last,
            coalesce(max(total_rows), 0)::int AS total FROM declutter.batch WHERE run_id = '${runId}'`,
  );
  const { rows, batches, numbers, last, total } = ledger as Record<string, number>;
  const counted = run.result.rowsArchived || run.result.rowsDeleted || run.result.rowsRestored;
  const figures = {
    rowsDone: run.progress.rowsDone,
    counted,
    total,
    batches: run.progress.batches,
    numbers,
    last,
  };
  const wanted = { rowsDone: rows, counted: rows, total: rows, batches, numbers: batches, last: batches };
  if (JSON.stringify(figures) !== JSON.stringify(wanted))
    wrong.push(`counters ${JSON.stringify(figures)}, the ledger ${JSON.stringify(wanted)}`);
  return [...wrong, ...(await gapsInSegments(database, runId))];
}

function illegalSteps(kinds: readonly string[]): string[] {
  const states = kinds.filter((kind): kind is RunState => kind in RUN_TRANSITIONS);
  return states.flatMap((state, i) => {
    const before = states[i - 1];
    return before === undefined || mayFollow(before, state) ? [] : [`${state} after ${before}`];
  });
}

/** The frames of a segment lie one behind the other. */
async function gapsInSegments(database: TestDatabase, runId: string): Promise<string[]> {
  const gaps = await database.run(`
    SELECT segment, start::int FROM (
      SELECT segment, start, lag(start + length, 1, 0) OVER (PARTITION BY segment ORDER BY start) AS due
        FROM declutter.batch WHERE run_id = '${runId}' AND sha256 IS NOT NULL) AS frame
     WHERE start <> due ORDER BY segment, start`);
  return gaps.map((gap) => `a gap before ${JSON.stringify(gap)}`);
}
