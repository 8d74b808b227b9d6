import { partitionsDropped } from '../store/archive-runs.ts';
import type { ArchiveView } from '../store/archives.ts';
import type { Relation } from '../target/catalog.ts';
import { readPartitions } from '../target/partitions.ts';
import { fromCatalog, ident, sql, toText } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { Checked } from './restore-checks.ts';

/** Adds the partitions that the run which made the archive has dropped, and nobody has made again: their rows would find no place. */
export async function withMissingPartitions(
  { session, deps }: PlanContext,
  { runId }: ArchiveView,
  source: Relation | null,
  checked: Checked,
): Promise<Checked> {
  if (source?.kind !== 'PARTITIONED') return checked;
  const dropped = await partitionsDropped(deps.store, runId);
  const present = await session.transaction(() => readPartitions(session, source.oid));
  const missing = dropped.filter(
    ({ parent, bounds }) =>
      !present.some((one) => nameOf(one.parent) === nameOf(parent) && one.bounds === bounds),
  );
  const notices = missing.map(({ schema, name, parent, bounds }) =>
    notice(
      'PARTITION_MISSING',
      `The archive has rows of the partition ${nameOf({ schema, name })} (${bounds}), which its run has dropped.`,
      toText(
        sql`CREATE TABLE ${ident(schema, name)} PARTITION OF ${ident(parent.schema, parent.name)} ${fromCatalog(bounds)};`,
      ),
    ),
  );
  // Rows that fit nowhere else go to the default partition: that may be meant.
  const hasDefault = present.some(({ isDefault }) => isDefault);
  return hasDefault
    ? { ...checked, warnings: [...checked.warnings, ...notices] }
    : { ...checked, blockers: [...checked.blockers, ...notices] };
}
