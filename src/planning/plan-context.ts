import type { ArchiveStore } from '../archive/archive-store.ts';
import type { Clock } from '../clock.ts';
import type { Connect } from '../databases/connect.ts';
import { checkIdentifier } from '../domain/identifier.ts';
import type { DatabaseIdentity, PlanNotice } from '../domain/plan.ts';
import { notFound } from '../errors.ts';
import { type DatabaseSummary, findDatabase } from '../store/databases.ts';
import type { Store } from '../store/open-store.ts';
import { type Capabilities, readCapabilities } from '../target/capabilities.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { readIdentity } from '../target/identity.ts';
import { READ_SETTINGS, type Session } from '../target/session.ts';
import { Budget } from './budget.ts';

/** What a plan asks of an archive store. */
export type DestinationStore = Pick<ArchiveStore, 'kind' | 'trouble'>;

export interface PlanningDeps {
  readonly store: Store;
  readonly connect: Connect;
  readonly clock: Clock;
  /** By name: where archives may go besides tables. */
  readonly archiveStores: ReadonlyMap<string, DestinationStore>;
  /** How long a plan may count before it estimates. */
  readonly budgetMs?: number;
}

export const DEFAULT_BUDGET_MS = 25_000;

/** A look at one database, read-only: planning changes nothing. */
export interface PlanContext {
  readonly deps: PlanningDeps;
  readonly database: DatabaseSummary;
  readonly session: Session;
  readonly identity: DatabaseIdentity;
  readonly capabilities: Capabilities;
  readonly budget: Budget;
  readonly now: Date;
}

export async function withPlanContext<T>(
  deps: PlanningDeps,
  databaseName: string,
  work: (context: PlanContext) => Promise<T>,
): Promise<T> {
  const database = await findDatabase(deps.store, databaseName);
  if (database === null) throw notFound(`The database "${databaseName}"`);
  const session = await deps.connect(database.id, { ...READ_SETTINGS, applicationName: 'declutter/plan' });
  try {
    const now = deps.clock.now();
    const budget = new Budget(deps.clock, deps.budgetMs ?? DEFAULT_BUDGET_MS);
    const identity = await readIdentity(session);
    const capabilities = await session.transaction(() => readCapabilities(session));
    return await work({ deps, database, session, identity, capabilities, budget, now });
  } finally {
    await session.close();
  }
}

/** The table with exactly this name. @throws BAD_USER_INPUT, NOT_FOUND */
export async function requireRelation(
  { session }: PlanContext,
  schema: string,
  table: string,
): Promise<Relation> {
  checkIdentifier('schema', schema);
  checkIdentifier('table', table);
  const relation = await session.transaction(() => readRelation(session, schema, table));
  if (relation === null) throw notFound(`The table "${schema}"."${table}"`);
  return relation;
}

export const notice = (code: string, message: string, hint: string | null = null): PlanNotice => ({
  code,
  message,
  hint,
});

export const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }) =>
  `${schema}.${name}`;
