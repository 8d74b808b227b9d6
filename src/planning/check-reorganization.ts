import type { PlanSpec } from '../domain/plan.ts';
import { readRelationByOid } from '../target/catalog.ts';
import { repackHazards } from '../target/repack-hazards.ts';
import type { Session } from '../target/session.ts';
import { nameOf } from './plan-context.ts';

/** What has come since the plan was made and would make a reorganization fail or do something else; null: nothing. */
export async function reorganizationChange(
  session: Session,
  { operation, relations }: PlanSpec,
): Promise<string | null> {
  const [subject] = relations;
  if (operation.kind !== 'REORGANIZATION' || subject === undefined) return null;
  return session.transaction(async () => {
    if (operation.method === 'CLUSTER') {
      const { oid, schema, name } = operation.index;
      const index = await readRelationByOid(session, oid);
      return index?.schema === schema && index.name === name
        ? null
        : `the index ${nameOf(operation.index)} was dropped, renamed or made anew`;
    }
    if (operation.method !== 'REPACK') return null;
    const relation = await readRelationByOid(session, subject.oid);
    if (relation === null) return `the table ${nameOf(subject)} was dropped`;
    const [hazard] = await repackHazards(session, relation, operation.by.tool === 'SERVER');
    return hazard?.message.replace(/\.$/, '') ?? null;
  });
}
