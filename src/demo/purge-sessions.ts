import { ApprovePlanDocument, PlanPurgeDocument } from '../cli/client/generated/api.ts';
import { sql } from '../target/sql.ts';
import { carryOut, IN_A_HURRY, refusalOf, showPlan, startRun } from './carry-out.ts';
import { before, EVERYTHING, rowFigures, SESSION_COLUMNS } from './shop-figures.ts';
import type { Stage } from './stage.ts';

const SESSIONS = ['public', 'sessions'] as const;

/** Expired sessions go for good: on a production database that takes somebody else's yes. */
export async function purgeSessions(stage: Stage): Promise<void> {
  const { checks, shop } = stage;
  const { operator, approver } = stage.as;
  const { planPurge: plan } = await operator.request(PlanPurgeDocument, {
    input: {
      database: stage.database,
      table: 'sessions',
      where: { column: 'expires_at', op: 'OLDER_THAN', age: 'P30D' },
      limits: { maxShare: 1 },
      throttle: IN_A_HURRY,
      reason: 'Nobody can come back to an expired session.',
    },
  });
  showPlan(stage, plan);
  checks.same('a purge on PRODUCTION', { state: plan.state, wanted: 'NEEDS_APPROVAL' });
  const expired = before('expires_at', plan.cutoff ?? '');
  const old = await rowFigures(shop, SESSIONS, SESSION_COLUMNS, expired);
  const alive = await rowFigures(shop, SESSIONS, SESSION_COLUMNS, sql`NOT ${expired}`);
  checks.same('expired sessions', { planned: plan.impact.rows, counted: old.rows });

  checks.same('without approval the run is refused', {
    code: await refusalOf(startRun(operator, plan)),
    wanted: 'APPROVAL_REQUIRED',
  });
  const approval = { id: plan.id, hash: plan.hash };
  checks.same('the operator may not approve', {
    code: await refusalOf(operator.request(ApprovePlanDocument, approval)),
    wanted: 'FORBIDDEN',
  });
  const { approvePlan: approved } = await approver.request(ApprovePlanDocument, {
    ...approval,
    comment: 'Go ahead.',
  });
  checks.same('the approver approves', { state: approved.state, wanted: 'APPROVED' });

  const run = await carryOut(stage, plan);
  const left = await rowFigures(shop, SESSIONS, SESSION_COLUMNS, EVERYTHING);
  checks.same('sessions deleted', { planned: old.rows, deleted: run.result.rowsDeleted });
  checks.same('sessions left', { expected: alive.rows, counted: left.rows });
  checks.same('the sessions left are the live ones', { before: alive.sum, after: left.sum });
}
