import { badInput } from '../errors.ts';
import { durationMs } from './duration.ts';
import type { Limits, OperationSpec, PlanImpact } from './plan.ts';
import type { Environment, PlanKind, ReorganizationMethod } from './words.ts';

export interface LimitsInput {
  maxRows?: number | null | undefined;
  maxShare?: number | null | undefined;
  /** ISO 8601, of fixed length: PT2H, P1D */
  maxDuration?: string | null | undefined;
}

/** More than half of a table is more often a mistake in the filter than the intention. */
export const DEFAULT_MAX_SHARE = 0.5;
/** In a small table any filter takes a large share. */
export const SHARE_FLOOR_ROWS = 1_000;

/** Above these a plan of the kinds that can be undone needs approval too. */
const CAPS: Readonly<Record<Environment, { readonly rows: number; readonly share: number }>> = {
  DEVELOPMENT: { rows: Infinity, share: Infinity },
  STAGING: { rows: Infinity, share: Infinity },
  PRODUCTION: { rows: 10_000_000, share: DEFAULT_MAX_SHARE },
};

/** What they take away can be given back. */
const MOVES_ROWS: ReadonlySet<GovernedWork> = new Set(['ARCHIVE', 'DEDUPLICATION']);

/** With the defaults filled in. @throws BAD_USER_INPUT */
export function limitsFrom(input: LimitsInput | null | undefined, tableRows: number): Limits {
  return {
    maxRows: checkedRows(input?.maxRows ?? null),
    maxShare:
      checkedShare(input?.maxShare ?? null) ?? (tableRows < SHARE_FLOOR_ROWS ? null : DEFAULT_MAX_SHARE),
    maxDurationMs: input?.maxDuration == null ? null : checkedDuration(input.maxDuration),
  };
}

export interface Counted {
  readonly rows: number;
  readonly rowsAreExact: boolean;
  readonly share: number;
  readonly tableRows: number;
}

/**
 * The limits that the run asserts: shares become rows of the table as it is now, since a batch can count rows only. Where the
 * plan itself could not count, the number above which somebody else would have to approve it is a limit too.
 */
export function runLimits(
  limits: Limits,
  kind: PlanKind,
  environment: Environment,
  counted: Counted,
): Limits {
  const bounds = [
    limits.maxRows,
    shareInRows(limits.maxShare, counted),
    counted.rowsAreExact || needsApproval(kind, environment, counted)
      ? null
      : rowsWithoutApproval(kind, environment, counted.tableRows),
  ].filter((bound) => bound !== null);
  return { ...limits, maxRows: bounds.length === 0 ? null : Math.min(...bounds) };
}

/** All of the table is no limit: rows that come meanwhile are part of it. */
function shareInRows(maxShare: number | null, { rowsAreExact, tableRows }: Counted): number | null {
  if (maxShare === null) return rowsAreExact ? null : SHARE_FLOOR_ROWS;
  return maxShare === 1 ? null : Math.floor(maxShare * tableRows);
}

function rowsWithoutApproval(kind: PlanKind, environment: Environment, tableRows: number): number | null {
  if (environment !== 'PRODUCTION') return null;
  const cap = CAPS[environment];
  if (!MOVES_ROWS.has(kind)) return cap.rows;
  return Math.min(cap.rows, Math.max(SHARE_FLOOR_ROWS - 1, Math.floor(cap.share * tableRows)));
}

function checkedRows(maxRows: number | null): number | null {
  if (maxRows === null || (Number.isSafeInteger(maxRows) && maxRows > 0)) return maxRows;
  throw badInput('limits.maxRows must be a whole number above 0.');
}

function checkedShare(maxShare: number | null): number | null {
  if (maxShare === null || (maxShare > 0 && maxShare <= 1)) return maxShare;
  throw badInput('limits.maxShare must be above 0 and at most 1.');
}

/** What cannot be undone, or is missed by everybody until it is. */
const ALWAYS_APPROVED: ReadonlySet<GovernedWork> = new Set([
  'PURGE',
  'ORPHAN_REMOVAL',
  'ARCHIVE_EXPIRY',
  'INDEX_REMOVAL',
  'VACUUM_FULL',
  'CLUSTER',
]);

/** They write a whole table anew, or move most of its rows, while everybody works. */
const REWRITES: ReadonlySet<GovernedWork> = new Set(['COMPACT', 'REPACK']);
const LARGEST_REWRITE = 100 * 2 ** 30;

/** What the rules of approval tell apart: the kind of a plan, and of a reorganization its method. */
export type GovernedWork = PlanKind | ReorganizationMethod;

export const governedAs = (operation: OperationSpec): GovernedWork =>
  operation.kind === 'REORGANIZATION' ? operation.method : operation.kind;

/** Whether somebody else must say yes first. Some kinds always need it on PRODUCTION. */
export function needsApproval(
  work: GovernedWork,
  environment: Environment,
  impact: Pick<PlanImpact, 'rows' | 'share'> & Partial<Pick<PlanImpact, 'bytes'>>,
): boolean {
  if (environment !== 'PRODUCTION') return false;
  if (ALWAYS_APPROVED.has(work)) return true;
  if (REWRITES.has(work)) return (impact.bytes ?? 0) > LARGEST_REWRITE;
  const cap = CAPS[environment];
  const largeShare = impact.share > cap.share && impact.rows >= SHARE_FLOOR_ROWS;
  return (
    (MOVES_ROWS.has(work) && (largeShare || impact.rows > cap.rows)) ||
    (work === 'RESTORE' && impact.rows > cap.rows)
  );
}

const LONGEST_MS = 365 * 86_400_000;

function checkedDuration(text: string): number {
  const ms = durationMs(text);
  if (ms === null || !(ms > 0 && ms <= LONGEST_MS)) {
    throw badInput(
      'limits.maxDuration must be an ISO 8601 duration of days, hours, minutes and seconds, such as PT2H, of at most 365 days.',
    );
  }
  return ms;
}
