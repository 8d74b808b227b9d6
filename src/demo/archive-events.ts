import { bytes, count } from '../cli/client/format.ts';
import {
  PlanArchiveDocument,
  PlanRestoreDocument,
  VerifyArchiveDocument,
} from '../cli/client/generated/api.ts';
import { carryOut, IN_A_HURRY, type Plan, showPlan } from './carry-out.ts';
import { before, EVENT_COLUMNS, EVERYTHING, type RowFigures, rowFigures } from './shop-figures.ts';
import { sql } from '../target/sql.ts';
import type { Stage } from './stage.ts';

/** A month of the events that go into the archive, to be brought back from it. */
export interface Sample {
  readonly from: string;
  readonly to: string;
  readonly figures: RowFigures;
}

export interface ArchivedEvents {
  readonly archiveId: string;
  readonly sample: Sample;
}

const EVENTS = ['public', 'events'] as const;

/** Events of more than a year ago go into files. */
export async function archiveEvents(stage: Stage): Promise<ArchivedEvents> {
  const { checks, shop } = stage;
  const plan = await planArchive(stage);
  showPlan(stage, plan);
  const cutoff = plan.cutoff ?? '';
  const old = await rowFigures(shop, EVENTS, EVENT_COLUMNS, before('occurred_at', cutoff));
  const recent = await rowFigures(shop, EVENTS, EVENT_COLUMNS, sql`NOT ${before('occurred_at', cutoff)}`);
  checks.same('old events', { planned: plan.impact.rows, counted: old.rows });
  const sample = await chooseSample(stage, cutoff);

  const run = await carryOut(stage, plan);
  const left = await rowFigures(shop, EVENTS, EVENT_COLUMNS, EVERYTHING);
  checks.same('events archived', {
    planned: old.rows,
    archived: run.result.rowsArchived,
    deleted: run.result.rowsDeleted,
    'in the archive': run.archive?.rows ?? null,
  });
  checks.same('events left', { expected: recent.rows, counted: left.rows });
  checks.same('the events left are as they were', { before: recent.sum, after: left.sum });
  const archiveId = run.archive?.id ?? '';
  await verify(stage, archiveId, old.rows);
  stage.print(`  ${count(old.rows)} events take ${bytes(run.archive?.bytes)} in the archive`);
  return { archiveId, sample };
}

async function planArchive(stage: Stage): Promise<Plan> {
  const { planArchive: plan } = await stage.as.operator.request(PlanArchiveDocument, {
    input: {
      database: stage.database,
      table: 'events',
      where: { column: 'occurred_at', op: 'OLDER_THAN', age: 'P1Y' },
      destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
      throttle: IN_A_HURRY,
      reason: 'Events of more than a year ago are never read.',
    },
  });
  return plan;
}

async function verify(stage: Stage, id: string, rows: number): Promise<void> {
  const { verifyArchive: verified } = await stage.as.operator.request(VerifyArchiveDocument, { id });
  stage.checks.holds(
    'every segment reads back with its checksum',
    verified.ok && verified.problems.length === 0,
  );
  stage.checks.same('rows read back', { archived: rows, 'read back': verified.rowsChecked });
}

async function chooseSample(stage: Stage, cutoff: string): Promise<Sample> {
  const { from, to } = await stage.shop.one<{ from: string; to: string }>(sql`
    SELECT (${cutoff}::timestamptz - interval '60 days')::text AS from, (${cutoff}::timestamptz - interval '30 days')::text AS to`);
  const where = sql`occurred_at >= ${from}::timestamptz AND occurred_at < ${to}::timestamptz`;
  return { from, to, figures: await rowFigures(stage.shop, EVENTS, EVENT_COLUMNS, where) };
}

/** A month of the archived events comes back into a table of its own, and is what it was. */
export async function restoreSample(stage: Stage, { archiveId, sample }: ArchivedEvents): Promise<void> {
  const { planRestore: plan } = await stage.as.operator.request(PlanRestoreDocument, {
    input: {
      archiveId,
      into: 'SIDE_TABLE',
      where: {
        all: [
          { column: 'occurred_at', op: 'GE', value: sample.from },
          { column: 'occurred_at', op: 'LT', value: sample.to },
        ],
      },
      throttle: IN_A_HURRY,
      reason: 'Somebody asks what happened in that month.',
    },
  });
  showPlan(stage, plan);
  const run = await carryOut(stage, plan);
  const restored = await rowFigures(
    stage.shop,
    [plan.schema ?? '', plan.table ?? ''],
    EVENT_COLUMNS,
    EVERYTHING,
  );
  stage.checks.same('events restored', {
    'before the archive': sample.figures.rows,
    restored: run.result.rowsRestored,
    counted: restored.rows,
  });
  stage.checks.same('the restored events are what they were', {
    before: sample.figures.sum,
    restored: restored.sum,
  });
}
