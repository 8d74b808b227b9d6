import { canonicalFilter } from '../domain/filter.ts';
import type { HoldInput } from '../domain/plan-inputs.ts';
import type { Principal } from '../domain/principal.ts';
import { requiredReason } from '../domain/reason.ts';
import { DeclutterError, notFound } from '../errors.ts';
import { endHold, findHold, type HoldView, insertHold, listHolds } from '../store/holds.ts';
import {
  type MaintenanceStopView,
  readMaintenanceStop,
  writeMaintenanceStop,
} from '../store/maintenance-stop.ts';
import { placeInLedger, takesHolds } from '../target/ledger-holds.ts';
import { checkFilterValues } from '../target/row-filter.ts';
import { BATCH_SETTINGS } from '../target/session.ts';
import { type PlanContext, type PlanningDeps, requireRelation, withPlanContext } from './plan-context.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What keeps rows from being removed: holds on tables or rows, and the stop switch for everything. */
export function makeProtection(deps: PlanningDeps) {
  return {
    holds: (database?: string | null): Promise<HoldView[]> => listHolds(deps.store, database ?? null),
    placeHold: (input: HoldInput, by: Principal) => placeHold(deps, input, by),
    releaseHold: (id: string, reason: string, by: Principal) => releaseHold(deps, id, reason, by),
    maintenanceStop: (): Promise<MaintenanceStopView> => readMaintenanceStop(deps.store),
    setMaintenanceStop: async (on: boolean, reason: string, by: Principal): Promise<MaintenanceStopView> =>
      writeMaintenanceStop(deps.store, {
        on,
        reason: requiredReason(reason),
        since: deps.clock.now(),
        by: by.subject,
      }),
  };
}

/**
 * A misspelt name would protect nothing without a word, so the database is asked. Once this has returned, no batch commits that
 * takes away what is held: the ledger there has the hold, and every batch reads it in its own transaction.
 */
async function placeHold(deps: PlanningDeps, input: HoldInput, by: Principal): Promise<HoldView> {
  const reason = requiredReason(input.reason);
  return withPlanContext(deps, input.database, async (context) => {
    const where = input.where == null ? null : canonicalFilter(input.where, context.now).filter;
    const relation = await requireRelation(context, input.schema, input.table);
    if (where !== null) await checkFilterValues(context.session, where, relation);
    const hold = await insertHold(deps.store, {
      databaseId: context.database.id,
      schema: relation.schema,
      table: relation.name,
      where,
      reason,
      placedBy: by.subject,
      placedAt: context.now,
    });
    await tellBatches(context, hold, relation.oid);
    return hold;
  });
}

/**
 * Without a ledger no run has ever begun; the first one brings the hold along from the control store, where it is already. A hold
 * that cannot be promised is taken back.
 */
async function tellBatches(context: PlanContext, hold: HoldView, oid: number): Promise<void> {
  const { deps, session, capabilities } = context;
  if (capabilities.ledger === 'FOREIGN' || capabilities.isStandby || !(await takesHolds(session))) return;
  try {
    const writer = await deps.connect(context.database.id, { ...PLACING, applicationName: 'declutter/hold' });
    try {
      await placeInLedger(writer, { ...hold, oid });
    } finally {
      await writer.close();
    }
  } catch (error) {
    const releaseReason = 'It could not be written to the database, and was never in force.';
    await endHold(deps.store, hold.id, {
      releasedAt: deps.clock.now(),
      releasedBy: hold.placedBy,
      releaseReason,
    });
    throw error;
  }
}

/** Batches that are under way are waited for: each ends within its statement time-out. */
const PLACING = { ...BATCH_SETTINGS, lockTimeoutMs: 40_000, statementTimeoutMs: 45_000 };

async function releaseHold(deps: PlanningDeps, id: string, reason: string, by: Principal): Promise<HoldView> {
  const release = {
    releasedAt: deps.clock.now(),
    releasedBy: by.subject,
    releaseReason: requiredReason(reason),
  };
  const hold = UUID.test(id) ? await findHold(deps.store, id) : null;
  if (hold === null) throw notFound('The hold');
  const released = await endHold(deps.store, id, release);
  if (released === null) throw new DeclutterError('CONFLICT', 'The hold has been released already.');
  return released;
}
