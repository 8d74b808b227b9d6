import type { PlanSpec } from './plan.ts';
import type { PlanKind } from './words.ts';

/** What only adds rows, or moves them about, needs no leave of a hold. */
const DELETE_NOTHING: ReadonlySet<PlanKind> = new Set([
  'RESTORE',
  'REINDEX',
  'REORGANIZATION',
  'INDEX_CREATION',
  'INDEX_REMOVAL',
]);

export interface HeldTable {
  /** null: by its name only; it may be gone */
  readonly oid: number | null;
  readonly schema: string;
  readonly name: string;
}

/** The tables on which a hold stops the run: those whose rows it may take away. */
export function heldTables({ kind, relations, operation }: PlanSpec): readonly HeldTable[] {
  if (operation.kind === 'ARCHIVE_EXPIRY') {
    const { schema, table } = operation;
    return [{ oid: null, schema, name: table }];
  }
  if (operation.kind === 'ORPHAN_REMOVAL' && operation.dependents === 'REFUSE') return relations.slice(0, 1);
  return DELETE_NOTHING.has(kind) ? [] : relations;
}
