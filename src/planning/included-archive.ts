import { archiveTableOf } from '../domain/archive-tables.ts';
import type { ArchiveDestination, PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import type { Edge, Reached } from '../target/reached-tables.ts';
import { destinationNeeds, examineDestination } from './archive-destination.ts';
import { type Need, tableNeeds } from './check-rights.ts';
import { touchedTables } from './included-tables.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

/** The destination of each table whose rows go along; stores take them all. */
function destinationsOf(
  destination: ArchiveDestination,
  reached: Reached,
): { readonly table: Relation; readonly destination: ArchiveDestination }[] {
  if (destination.kind !== 'TABLE') return [];
  const relations = touchedTables(reached);
  return reached.tables
    .filter((table) => table !== reached.subject)
    .map((table) => {
      const part = relations.findIndex(({ oid }) => oid === table.oid);
      return { table, destination: { kind: 'TABLE', ...archiveTableOf(destination, relations, part) } };
    });
}

/** The rights to make archive tables for what goes along, and to lock rows that lose a reference. */
export async function includedArchiveNeeds(
  context: PlanContext,
  destination: ArchiveDestination,
  reached: Reached,
): Promise<Need[]> {
  const needs: Need[] = [];
  for (const one of destinationsOf(destination, reached))
    needs.push(...(await destinationNeeds(context, one.destination, one.table)));
  for (const { child } of losing(reached))
    needs.push(
      ...(await tableNeeds(
        context,
        child,
        ['SELECT', 'UPDATE'],
        'its references are archived and set by the run',
      )),
    );
  return needs;
}

/** What stands in the way of archiving what goes along, but rights. */
export async function checkIncludedArchive(
  context: PlanContext,
  destination: ArchiveDestination,
  reached: Reached,
): Promise<PlanNotice[]> {
  const blockers = losing(reached).flatMap(unidentified);
  const stores = { ...context, archiveStores: context.deps.archiveStores };
  for (const one of destinationsOf(destination, reached))
    blockers.push(...(await examineDestination(stores, one.destination, one.table)));
  return blockers;
}

const losing = ({ edges }: Reached): Edge[] =>
  edges.filter(({ key }) => key.onDelete === 'SET_NULL' || key.onDelete === 'SET_DEFAULT');

/** A restore could not tell which row is to point back. */
function unidentified({ key, child }: Edge): PlanNotice[] {
  const identity = child.primaryKey ?? [];
  if (identity.length > 0 && !key.setColumns.some((column) => identity.includes(column))) return [];
  const message =
    identity.length === 0
      ? `Rows of ${nameOf(child)} would lose their reference by ${key.name}, and have no primary key by which the archive could name them.`
      : `Rows of ${nameOf(child)} would lose their reference by ${key.name}, which is part of the primary key that the archive would name them by.`;
  return [
    notice(
      'REFERENCE_UNIDENTIFIED',
      message,
      identity.length === 0
        ? `Give ${nameOf(child)} a primary key, or change or archive those rows first.`
        : 'Change or archive those rows first.',
    ),
  ];
}
