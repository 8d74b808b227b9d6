import { shortened } from '../domain/identifier.ts';
import type { OperationSpec, RelationIdentity } from '../domain/plan.ts';
import { addForeignKey, enforceKey, validateKey } from '../target/foreign-key-statements.ts';

type OrphanRemoval = Extract<OperationSpec, { kind: 'ORPHAN_REMOVAL' }>;

const NAME_BYTES = 63;

/** What keeps new orphans out, once those that were there are gone. */
export function keepOrphansOut(
  { orphan, constraint, isKey }: OrphanRemoval,
  subject: RelationIdentity,
): string {
  const { references, pairs } = orphan;
  const child = { schema: subject.schema, table: subject.name, columns: pairs.map(({ column }) => column) };
  if (constraint !== null) {
    const how = constraint.enforced
      ? validateKey(child, constraint.name)
      : enforceKey(child, constraint.name);
    return `${how} ${constraint.enforced ? 'proves that no orphan is left' : 'keeps new orphans out'}.`;
  }
  const keys = pairs.map(({ key }) => key);
  if (!isKey) {
    return `Nothing keeps new orphans out: a foreign key needs a unique index on ${references.schema}.${references.table} (${keys.join(', ')}) first.`;
  }
  const suffix = '_fkey';
  const name = `${shortened([subject.name, ...child.columns].join('_'), NAME_BYTES - suffix.length)}${suffix}`;
  const add = addForeignKey(child, { ...references, columns: keys }, name);
  return `${add} NOT VALID keeps new orphans out; ${validateKey(child, name)} then proves that none is left.`;
}
