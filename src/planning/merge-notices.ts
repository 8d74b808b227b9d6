import type { OperationSpec, PlanNotice } from '../domain/plan.ts';
import type { MergeGraph } from '../target/merge-graph.ts';
import { ident, toText } from '../target/sql.ts';
import type { MergeEffects } from './merge-effects.ts';
import { nameOf, notice } from './plan-context.ts';

/** What stands in the way of merging the duplicates into the rows that stay. */
export function mergeBlockers(
  graph: MergeGraph,
  { references }: Extract<OperationSpec, { kind: 'DEDUPLICATION' }>,
  merged: MergeEffects,
): PlanNotice[] {
  return [
    ...(graph.isCut ? [TOO_MANY_TABLES] : []),
    ...(references === 'REFUSE'
      ? refused(graph, merged)
      : [...collisions(merged), ...reachingFurther(merged)]),
  ];
}

const TOO_MANY_TABLES = notice(
  'TOO_MANY_TABLES',
  'Foreign keys lead from the duplicates to more tables than a plan follows: what would happen there is not known.',
);

const refused = ({ tables }: MergeGraph, merged: MergeEffects): PlanNotice[] =>
  tables.flatMap((relation) => {
    const rows = merged.tables.get(relation.oid)?.repointed ?? 0;
    if (rows === 0) return [];
    return [
      notice(
        'DEPENDENTS',
        `${rows} rows of ${nameOf(relation)} reference rows that would go.`,
        'references: REPOINT points them at the rows that stay.',
      ),
    ];
  });

const collisions = ({ conflicts }: MergeEffects): PlanNotice[] =>
  [...conflicts.values()].map(({ name, uniqueKey, rows }) =>
    notice(
      'REPOINT_COLLISION',
      `${rows} rows of ${name} would have the same ${uniqueKey} as another row once they are re-pointed, and differ from it in other columns: which of them is right, only you can tell.`,
      `Make those rows of ${name} equal, or remove one of each two; then plan again.`,
    ),
  );

const reachingFurther = ({ further }: MergeEffects): PlanNotice[] =>
  [...further.values()]
    .filter(({ rows }) => rows > 0)
    .map(({ edge: { key, child, parent }, rows }) =>
      notice(
        'UPDATE_REACHES_FURTHER',
        `Re-pointed rows of ${nameOf(parent)} change columns that ${rows} rows of ${nameOf(child)} reference in their turn (${key.name}).`,
        `ON UPDATE CASCADE passes the change on: drop the key, and ALTER TABLE ${toText(ident(child.schema, child.name))} ADD CONSTRAINT ... ON UPDATE CASCADE.`,
      ),
    );

export function mergeWarnings({ subject: relation, tables }: MergeGraph, merged: MergeEffects): PlanNotice[] {
  const { complete } = merged;
  const unnamed = tables.filter(
    ({ oid, primaryKey }) => primaryKey === null && (merged.tables.get(oid)?.repointed ?? 0) > 0,
  );
  return [
    ...unnamed.map((table) =>
      notice(
        'REFERENCE_NOT_KEPT',
        `${nameOf(table)} has no primary key: its rows could not be found again, and a restore does not point them back.`,
        'Give it a primary key first, where that matters.',
      ),
    ),
    ...(complete
      ? []
      : [
          notice(
            'EFFECTS_ESTIMATED',
            'The time for counting was up: effects are not complete.',
            'A run stops by itself at a row that cannot be re-pointed.',
          ),
        ]),
    ...(relation.isPartition
      ? [
          notice(
            'ONE_PARTITION',
            `${nameOf(relation)} is one partition: rows of other partitions with the same key are not looked at.`,
          ),
        ]
      : []),
  ];
}
