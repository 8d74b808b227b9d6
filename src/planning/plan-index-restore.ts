import type { RemovedIndex } from '../domain/index-spec.ts';
import type { PlanNotice, RelationIdentity } from '../domain/plan.ts';
import { badInput } from '../errors.ts';
import { findDatabaseById } from '../store/databases.ts';
import type { Store } from '../store/open-store.ts';
import { findPlan, type PlanView } from '../store/plans.ts';
import { findRun } from '../store/runs.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { readFingerprint } from '../target/fingerprint.ts';
import { readIndex } from '../target/index-state.ts';
import { indexDraft } from './index-draft.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { PlanRestoreInput } from '../domain/plan-inputs.ts';
import type { Draft } from './save-plan.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** An index that a run was to take away. */
export interface IndexRemovalRun {
  readonly databaseName: string;
  readonly table: RelationIdentity;
  readonly index: RemovedIndex;
}

/** null: the input is not about the run of an index removal. @throws BAD_USER_INPUT */
export async function removalOf(store: Store, input: PlanRestoreInput): Promise<IndexRemovalRun | null> {
  const plan = input.archiveId == null ? await planOfRun(store, input.runId ?? '') : null;
  const table = plan?.spec.relations[0];
  if (plan?.spec.operation.kind !== 'INDEX_REMOVAL' || table === undefined) return null;
  if (input.where != null || input.into !== 'SOURCE')
    throw badInput('The run has removed an index: where and into are for rows.');
  const database = await findDatabaseById(store, plan.databaseId);
  return { databaseName: database?.name ?? '', table, index: plan.spec.operation.index };
}

async function planOfRun(store: Store, runId: string): Promise<PlanView | null> {
  const run = UUID.test(runId) ? await findRun(store, runId) : null;
  return run === null ? null : findPlan(store, run.planId);
}

/** Builds a removed index again, by the definition that it had. */
export async function planIndexRestore(
  context: PlanContext,
  { table, index }: IndexRemovalRun,
): Promise<Draft> {
  const { session } = context;
  const relation = await session.transaction(() => readRelationByOid(session, table.oid));
  if (relation === null) throw badInput(`The table ${nameOf(table)}, which the index was of, is gone.`);
  const { schema, name, definition, comment, sizeBytes } = index;
  const present = await readIndex(session, schema, name);
  return indexDraft(context, {
    indexes: [{ schema, name, tableOid: relation.oid, definition, isConcurrent: true, comment }],
    relations: [relation],
    bytes: sizeBytes,
    blockers: [
      ...(present?.definition === definition
        ? [
            notice(
              'INDEX_EXISTS',
              present.isValid ? `${nameOf(index)} is there.` : `${nameOf(index)} is there, and not valid.`,
              present.isValid ? null : 'planReindex makes it valid.',
            ),
          ]
        : []),
      ...(index.isValid ? [] : [wasInvalid(index)]),
      ...(relation.schema === table.schema && relation.name === table.name
        ? []
        : [renamed(relation, table, index)]),
    ],
    warnings:
      (await readFingerprint(session, table.oid)) === table.fingerprint
        ? []
        : [
            notice(
              'TABLE_CHANGED',
              `The definition of ${nameOf(relation)} has changed since. The run fails, and leaves nothing behind, when the index no longer fits.`,
            ),
          ],
  });
}

/** By its name the definition would now be of another table, or of none. */
const renamed = (relation: Relation, table: RelationIdentity, index: RemovedIndex): PlanNotice =>
  notice(
    'TABLE_RENAMED',
    `The index was of ${nameOf(table)}, which is ${nameOf(relation)} now: ${index.definition}`,
    'Build it by hand with the new name, or planIndexCreation.',
  );

const wasInvalid = (index: RemovedIndex): PlanNotice =>
  notice(
    'INDEX_INVALID',
    `${nameOf(index)} was not valid when it was removed: no query used it.`,
    'planIndexCreation builds one that is.',
  );
