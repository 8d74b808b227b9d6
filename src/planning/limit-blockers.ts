import type { Limits, PlanNotice } from '../domain/plan.ts';
import type { MeasuredRows } from './measure-rows.ts';
import { notice } from './plan-context.ts';

/** By what the filter finds, whatever it says: a filter that is always true finds everything. */
export function limitBlockers(
  { rows, share, rowsAreExact }: MeasuredRows,
  { maxRows, maxShare }: Limits,
): PlanNotice[] {
  const about = rowsAreExact ? '' : 'about ';
  const percent = (part: number) => `${Math.round(part * 1_000) / 10} %`;
  return [
    ...(maxRows !== null && rows > maxRows
      ? [
          notice(
            'ROW_LIMIT',
            `${about}${rows} rows match; limits.maxRows allows ${maxRows}.`,
            'Narrow the filter, or raise the limit.',
          ),
        ]
      : []),
    ...(maxShare !== null && share > maxShare
      ? [
          notice(
            'SHARE_LIMIT',
            `${about}${percent(share)} of the table's rows match; ${percent(maxShare)} are allowed.`,
            'Look at the filter and the sample. If it is meant, say so by limits.maxShare.',
          ),
        ]
      : []),
  ];
}
