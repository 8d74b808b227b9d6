import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import type { MeasuredRows } from './measure-rows.ts';
import { nameOf, notice } from './plan-context.ts';
import { firing } from './trigger-effects.ts';

/** What is worth knowing of the rows and their table, and stands in nobody's way. */
export function deletionWarnings(relation: Relation, { rows, rowsAreExact }: MeasuredRows): PlanNotice[] {
  const before = firing(relation, 'DELETE').filter(
    ({ timing, level }) => timing === 'BEFORE' && level === 'ROW',
  );
  return [
    ...(rows === 0 ? [notice('NOTHING_TO_DO', 'No row matches the filter.')] : []),
    ...(rowsAreExact
      ? []
      : [
          notice(
            'ROWS_ESTIMATED',
            'The time for counting was up: the number of rows is an estimate.',
            'The run asserts its limits batch by batch.',
          ),
        ]),
    ...(relation.hasChildren && relation.kind === 'TABLE'
      ? [
          notice(
            'INHERITANCE_CHILDREN',
            `${nameOf(relation)} has child tables; only its own rows are treated.`,
          ),
        ]
      : []),
    ...(relation.persistence === 'UNLOGGED'
      ? [notice('UNLOGGED', `${nameOf(relation)} is unlogged: a crash of the server empties it.`)]
      : []),
    ...before.map(({ name }) =>
      notice(
        'BEFORE_DELETE_TRIGGER',
        `The trigger ${name} can keep rows from being deleted; the run ends with ROWS_KEPT then.`,
      ),
    ),
  ];
}
