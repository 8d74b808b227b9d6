import { badInput } from '../errors.ts';
import type { Limits, PlanImpact } from './plan.ts';
import type { Environment, PlanKind } from './words.ts';

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

/** With the defaults filled in. @throws BAD_USER_INPUT */
export function limitsFrom(input: LimitsInput | null | undefined, tableRows: number): Limits {
  return {
    maxRows: checkedRows(input?.maxRows ?? null),
    maxShare:
      checkedShare(input?.maxShare ?? null) ?? (tableRows < SHARE_FLOOR_ROWS ? null : DEFAULT_MAX_SHARE),
    maxDurationMs: input?.maxDuration == null ? null : durationMs(input.maxDuration),
  };
}

function checkedRows(maxRows: number | null): number | null {
  if (maxRows === null || (Number.isSafeInteger(maxRows) && maxRows > 0)) return maxRows;
  throw badInput('limits.maxRows must be a whole number above 0.');
}

function checkedShare(maxShare: number | null): number | null {
  if (maxShare === null || (maxShare > 0 && maxShare <= 1)) return maxShare;
  throw badInput('limits.maxShare must be above 0 and at most 1.');
}

/** Whether somebody else must say yes first. What cannot be undone always needs it on PRODUCTION. */
export function needsApproval(
  kind: PlanKind,
  environment: Environment,
  impact: Pick<PlanImpact, 'rows' | 'share'>,
): boolean {
  if (environment !== 'PRODUCTION') return false;
  if (kind === 'PURGE') return true;
  const cap = CAPS[environment];
  const largeShare = impact.share > cap.share && impact.rows >= SHARE_FLOOR_ROWS;
  return (
    (kind === 'ARCHIVE' && largeShare) ||
    ((kind === 'ARCHIVE' || kind === 'RESTORE') && impact.rows > cap.rows)
  );
}

const DURATION = /^P(?=\d|T\d)(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;
const LONGEST_MS = 365 * 86_400_000;

function durationMs(text: string): number {
  const parts = DURATION.exec(text);
  const [days, hours, minutes, seconds] = (parts ?? []).slice(1).map((n) => Number(n ?? 0));
  const ms = ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1_000;
  if (parts === null || !(ms > 0 && ms <= LONGEST_MS)) {
    throw badInput(
      'limits.maxDuration must be an ISO 8601 duration of days, hours, minutes and seconds, such as PT2H, of at most 365 days.',
    );
  }
  return ms;
}
