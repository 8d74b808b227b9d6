import { sideTableOf } from '../domain/archive-tables.ts';
import type { PlanEffect, PlanNotice } from '../domain/plan.ts';
import type { ArchivePart } from '../domain/archive-content.ts';
import type { RestoreInto } from '../domain/words.ts';
import { allSegments, type ArchiveView } from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { missingRights, tableNeeds } from './check-rights.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { type Checked, checkSide, checkSource } from './restore-checks.ts';
import { triggerEffects } from './trigger-effects.ts';

/** A part of an archive besides its own table, and the table as it is now; null: gone, or a side table takes the rows. */
export interface RestoredPart {
  readonly part: ArchivePart;
  readonly relation: Relation | null;
}

export async function readParts(
  { session }: PlanContext,
  { content }: ArchiveView,
  into: RestoreInto,
): Promise<RestoredPart[]> {
  const parts: RestoredPart[] = [];
  for (const part of content.parts ?? []) {
    const relation =
      into === 'SOURCE'
        ? await session.transaction(() => readRelation(session, part.schema, part.table))
        : null;
    parts.push({ part, relation });
  }
  return parts;
}

/** The tables that a restore changes besides the archive's own. */
export function partTables(parts: readonly RestoredPart[], source: Relation | null): Relation[] {
  const tables = new Map(
    parts.flatMap(({ relation }) => (relation === null ? [] : [[relation.oid, relation] as const])),
  );
  if (source !== null) tables.delete(source.oid);
  return [...tables.values()];
}

/** What stands in the way of restoring the parts: each table is checked like the archive's own. */
export async function checkParts(
  context: PlanContext,
  archive: ArchiveView,
  parts: readonly RestoredPart[],
  into: RestoreInto,
): Promise<Checked> {
  const found: { blockers: PlanNotice[]; warnings: PlanNotice[] } = { blockers: [], warnings: [] };
  for (const one of parts) {
    const { blockers, warnings } = await checkPart(context, archive, one, into);
    found.blockers.push(...blockers);
    found.warnings.push(...warnings);
  }
  return found;
}

async function checkPart(
  context: PlanContext,
  { runId }: ArchiveView,
  { part, relation }: RestoredPart,
  into: RestoreInto,
): Promise<Checked> {
  if (part.reference !== null) return into === 'SOURCE' ? checkReferences(context, part, relation) : NOTHING;
  const archived = { schema: part.schema, table: part.table, content: part };
  if (into === 'SOURCE') return checkSource(context, archived, relation);
  const target = { schema: part.schema, name: sideTableOf(part.table, part.number, runId) };
  return checkSide(context, archived, relation, target);
}

const NOTHING: Checked = { blockers: [], warnings: [] };

async function checkReferences(
  context: PlanContext,
  part: ArchivePart,
  relation: Relation | null,
): Promise<Checked> {
  const missing = [...(part.reference?.identity ?? []), ...(part.reference?.changed ?? [])].filter(
    (name) => !relation?.columns.some((column) => column.name === name),
  );
  const name = nameOf({ schema: part.schema, name: part.table });
  if (relation === null) {
    const message = `${name} is not there any more: its references (${part.reference?.name ?? ''}) are not pointed back.`;
    return { blockers: [], warnings: [notice('REFERENCES_LEFT', message)] };
  }
  if (missing.length > 0) {
    const message = `${name} has no column ${missing.join(', ')} any more, by which references are pointed back (${part.reference?.name ?? ''}).`;
    return { blockers: [notice('COLUMN_RENAMED', message, 'Restore into: SIDE_TABLE.')], warnings: [] };
  }
  const why = 'its references are pointed back';
  const needs = await tableNeeds(context, relation, ['SELECT', 'UPDATE'], why);
  return { blockers: await missingRights(context, needs), warnings: [] };
}

/** Triggers of the tables that get rows. */
export async function partEffects(
  store: Store,
  archive: ArchiveView,
  parts: readonly RestoredPart[],
): Promise<PlanEffect[]> {
  const segments = parts.length === 0 ? [] : await allSegments(store, archive.id);
  return parts.flatMap(({ part, relation }) => {
    if (relation === null || part.reference !== null) return [];
    const rows = segments
      .filter((segment) => segment.part === part.number)
      .reduce((sum, one) => sum + one.rows, 0);
    return triggerEffects(relation, 'INSERT', rows, 1);
  });
}
