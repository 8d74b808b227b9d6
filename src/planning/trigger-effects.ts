import type { PlanEffect } from '../domain/plan.ts';
import type { Relation, Trigger } from '../target/catalog.ts';

/** Triggers that would fire; columns: those that an UPDATE changes. */
export const firing = (
  { triggers }: Relation,
  event: Trigger['events'][number],
  changed?: readonly string[],
): Trigger[] =>
  triggers.filter(
    ({ enabled, events, columns }) =>
      enabled &&
      events.includes(event) &&
      (changed === undefined || columns.length === 0 || columns.some((column) => changed.includes(column))),
  );

/** Each firing counts: a row trigger fires for each row, a statement trigger for each statement. */
export function triggerEffects(
  relation: Relation,
  event: 'DELETE' | 'UPDATE' | 'INSERT',
  rows: number,
  statements: number,
  changed?: readonly string[],
): PlanEffect[] {
  return firing(relation, event, changed).map((trigger) => ({
    schema: relation.schema,
    table: relation.name,
    effect: 'TRIGGER',
    rows: trigger.level === 'ROW' ? rows : Math.min(rows, statements),
    detail: `${trigger.timing.replace('_', ' ')} ${event} trigger ${trigger.name} (each ${trigger.level.toLowerCase()}${trigger.conditional ? ', at most: it has a condition' : ''}) calls ${trigger.function}.`,
  }));
}
