import type { PlanKind } from '../domain/words.ts';
import type { Store } from '../store/open-store.ts';
import { appendEvent, findEvent } from '../store/run-events.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { readTableStatements, type StatementTimes } from '../target/statement-times.ts';
import { type Measure, measure } from './run-result.ts';

/** Without its text: events are for everybody who may read. */
export type StatementCount = Pick<StatementTimes, 'id' | 'calls' | 'ms'>;

/** A run's table before its first turn. */
export interface FirstLook {
  readonly measure: Measure | null;
  /** null: not known */
  readonly statements: readonly StatementCount[] | null;
}

const IN_ORDER: ReadonlySet<PlanKind> = new Set([
  'REORGANIZATION',
  'REINDEX',
  'INDEX_CREATION',
  'INDEX_REMOVAL',
]);

const KIND = 'MEASURED';

/**
 * Later turns find it among the run's events, so that what a run gives back is told of the whole. Of runs that take rows away
 * each turn tells of itself.
 */
export async function firstLook(
  store: Store,
  run: { readonly id: string; readonly kind: PlanKind },
  session: Session,
  relation: Relation | null,
): Promise<FirstLook> {
  if (!IN_ORDER.has(run.kind) || relation === null)
    return { measure: await measure(session, relation), statements: null };
  const known = await findEvent(store, run.id, KIND);
  if (known !== null) return known.data as unknown as FirstLook;
  const statements = await readTableStatements(session, relation.name);
  const look = {
    measure: await measure(session, relation),
    statements: statements?.map(({ id, calls, ms }) => ({ id, calls, ms })) ?? null,
  };
  const { bytes = 0 } = look.measure ?? {};
  const message = `${relation.schema}.${relation.name} has ${bytes} bytes with its indexes before the run.`;
  await appendEvent(store, run.id, { kind: KIND, message, data: { ...look } });
  return look;
}
