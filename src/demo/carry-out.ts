import { ApiError } from '../cli/client/api-error.ts';
import type { ApiClient } from '../cli/client/api-client.ts';
import type { RunReport } from '../cli/client/follow-run.ts';
import { bytes, count, duration, percent } from '../cli/client/format.ts';
import {
  type PlanReportFragment,
  StartRunDocument,
  type ThrottleInput,
} from '../cli/client/generated/api.ts';
import { runProgress } from '../cli/client/progress.ts';
import { runSummary, watchRun } from '../cli/client/watch-command.ts';
import type { Stage } from './stage.ts';

export type Plan = PlanReportFragment;

/** Nobody else uses the shop: no rest between batches, and longer ones. The defaults rest four fifths of the time. */
export const IN_A_HURRY: ThrottleInput = { dutyCycle: 1, batchMs: 40, maxBlockedSessions: 10 };

/** What a plan says that it would do. */
export function showPlan(stage: Stage, plan: Plan): void {
  showPlanInShort(stage, plan);
  for (const step of plan.steps) stage.print(`    step ${step.position}: ${step.description}`);
  const locks = plan.locks.map((lock) => `${lock.mode} on ${lock.relation}`);
  if (locks.length > 0) stage.print(`    locks: ${locks.join(', ')}`);
  for (const effect of plan.effects) stage.print(`    effect: ${effect.detail}`);
  for (const notice of plan.warnings) stage.print(`    warning ${notice.code}: ${notice.message}`);
  for (const notice of plan.blockers) stage.print(`    BLOCKED ${notice.code}: ${notice.message}`);
  stage.print(`    state: ${plan.state}, hash ${plan.hash.slice(0, 12)}\n`);
}

export function showPlanInShort(stage: Stage, plan: Plan): void {
  const { impact } = plan;
  const rows = `${count(impact.rows)} rows${impact.rowsAreExact ? '' : ' at most'}, ${percent(impact.share)} of the table, `;
  const time = impact.estimatedSeconds == null ? '' : `, about ${duration(impact.estimatedSeconds)}`;
  const size = `${impact.rows > 0 ? rows : ''}${bytes(impact.bytes)}${time}`;
  stage.print(`  Plan ${plan.kind} of ${plan.schema ?? ''}.${plan.table ?? ''}: ${size}`);
}

export const startRun = (client: ApiClient, plan: Plan): Promise<RunReport> =>
  client
    .request(StartRunDocument, { planId: plan.id, planHash: plan.hash, idempotencyKey: `demo-${plan.id}` })
    .then(({ startRun: run }) => run);

/** Starts a plan's run and follows it to its end. */
export async function carryOut(stage: Stage, plan: Plan): Promise<RunReport> {
  const { operator } = stage.as;
  const started = performance.now();
  const run = await startRun(operator, plan);
  const sequences: number[] = [];
  const ended = await watchRun(operator, run.id, null, {
    progress: runProgress(process.stdout),
    onEvent: (event) => sequences.push(event.sequence),
  });
  const seconds = (performance.now() - started) / 1000;
  stage.print(
    `  ${runSummary(ended).replace('\n', '\n  ')} (${duration(seconds)}, ${count(ended.progress.batches)} batches)`,
  );
  stage.checks.same(`${plan.kind} of ${plan.table ?? ''} has ended`, {
    state: ended.state,
    wanted: 'SUCCEEDED',
  });
  const gapless = sequences.every((sequence, i) => sequence === (sequences[0] ?? 0) + i);
  stage.checks.holds(
    `its ${count(sequences.length)} events came each once and in order`,
    gapless && sequences.length > 0,
  );
  return ended;
}

/** The code that the API refuses with. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
  return 'not refused';
}
