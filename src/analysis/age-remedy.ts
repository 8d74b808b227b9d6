import type { Remedy } from '../domain/finding.ts';
import { DEFAULT_MAX_SHARE } from '../domain/limits.ts';
import type { AgedColumn } from './age-column.ts';
import { AGE_IN_WORDS, type AgeDays, AGES } from './age-scale.ts';
import type { Tail } from './age-tail.ts';
import { type LeafTail, obsoleteAge } from './aged-subject.ts';
import { percent } from './define-analysis.ts';
import { planRemedy } from './remedies.ts';

/** Shares are estimates: a plan that finds a few rows more must not be kept from running. */
const SHARE_MARGIN = 0.05;

/** A share above the default limit is meant here: without a limit of its own the plan would be BLOCKED. */
export function archiveRemedy(
  { leaf, tail }: LeafTail,
  column: AgedColumn,
  which: string,
  database: string,
): Remedy {
  const age = obsoleteAge(column);
  const share = tail.older[age];
  const needed = Math.min(Math.ceil((share + SHARE_MARGIN) * 100) / 100, 1);
  const isLarge = needed > DEFAULT_MAX_SHARE;
  const summary = `Plan to archive rows${which} older than ${AGE_IN_WORDS[age]} to files, from where they can be restored.`;
  const limit = ` That is ${percent(share)} of the table: limits.maxShare allows up to ${percent(needed)}, and on PRODUCTION somebody else has to approve.`;
  return planRemedy('Archive', isLarge ? summary + limit : summary, {
    database,
    schema: leaf.schema,
    table: leaf.name,
    where: filterOf(column.name, age, tail),
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    ...(isLarge ? { limits: { maxShare: needed } } : {}),
  });
}

/** Values that are no time stay: -infinity and 0 are less than any cut-off. Numbers take the cut-off of today. */
function filterOf(column: string, age: AgeDays, { scale, timeless }: Tail) {
  if (scale.unit !== null) {
    const value = scale.cutoffs[AGES.indexOf(age)];
    return {
      all: [
        { column, op: 'GT', value: scale.floor },
        { column, op: 'LT', value },
      ],
    };
  }
  const older = { column, op: 'OLDER_THAN', age: `P${age}D` };
  return timeless === 0 ? older : { all: [{ column, op: 'NE', value: scale.floor }, older] };
}
