import type { AgeType } from './age-column.ts';

export const AGES = [30, 90, 365] as const;
export type AgeDays = (typeof AGES)[number];

export const AGE_IN_WORDS: Readonly<Record<AgeDays, string>> = {
  30: '30 days',
  90: '90 days',
  365: 'a year',
};

/** How times are written in a column: the words of a comparison in its own type, so that none has to be converted. */
export interface AgeScale {
  readonly type: 'date' | 'timestamp' | 'timestamptz' | 'int8';
  /** what is not later than this is no time: -infinity, or a number from before 1970 */
  readonly floor: string;
  /** what is not earlier than this is none that anybody has lived to see; a number outside is no time at all */
  readonly from: string;
  readonly to: string;
  /** of the ages, in their order */
  readonly cutoffs: readonly string[];
  readonly unit: 'seconds' | 'milliseconds' | 'microseconds' | null;
}

const DAY_MS = 86_400_000;
const UNITS = { seconds: 1e-3, milliseconds: 1, microseconds: 1e3 } as const;
/** Numbers that are times lie between the year 2000 and a hundred years from now. */
const OLDEST_EPOCH_MS = Date.UTC(2000);

const cutoffMs = (now: Date) => AGES.map((days) => now.getTime() - days * DAY_MS);

/** Whole numbers may be written in three ways: the one whose range fits is meant. */
export function scalesOf(type: AgeType, now: Date): AgeScale[] {
  if (type !== 'EPOCH') return [dateScale(type, now)];
  return (['seconds', 'milliseconds', 'microseconds'] as const).map((unit) => {
    const number = (ms: number) => String(Math.round(ms * UNITS[unit]));
    return {
      type: 'int8',
      floor: '0',
      from: number(OLDEST_EPOCH_MS),
      to: number(now.getTime() + 100 * 365 * DAY_MS),
      cutoffs: cutoffMs(now).map(number),
      unit,
    };
  });
}

const TYPES = { DATE: 'date', TIMESTAMP: 'timestamp', TIMESTAMPTZ: 'timestamptz' } as const;

function dateScale(type: keyof typeof TYPES, now: Date): AgeScale {
  const text = (ms: number) => new Date(ms).toISOString().slice(0, type === 'DATE' ? 10 : -1);
  return {
    type: TYPES[type],
    floor: '-infinity',
    from: '-infinity',
    to: 'infinity',
    cutoffs: cutoffMs(now).map(text),
    unit: null,
  };
}
