import type { IdCount, IdKind } from './read-ages.ts';

const DAY_MS = 86_400_000;
const OLDEST_MS = 30 * DAY_MS;
const APART_MS = DAY_MS / 4;
/** Less is a moment, not a habit. */
const SHORTEST_MS = 3_600_000;
const SHORTEST_CHECKPOINT_MS = 60_000;

export interface IdRate {
  readonly perDay: number;
  /** earlier analyses, or the time since the last checkpoint, which may be an unusual minute */
  readonly from: 'HISTORY' | 'CHECKPOINT';
}

/** The counts to remember: a month, four a day at most. Another server's, from before a restore elsewhere, are dropped. */
export function countsToKeep(kept: readonly IdCount[], now: IdCount): IdCount[] {
  const valid = kept
    .filter((count) => ageOf(count, now) <= OLDEST_MS && ageOf(count, now) > 0 && count.XID <= now.XID)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const last = valid.at(-1);
  return last === undefined || ageOf(last, now) >= APART_MS ? [...valid, now] : valid;
}

/** How fast ids are used up; null when that cannot be told, or none are. */
export function rateOf(
  kind: IdKind,
  now: IdCount,
  counts: readonly IdCount[],
  checkpoint: IdCount,
): IdRate | null {
  const [oldest] = counts;
  if (oldest && ageOf(oldest, now) >= SHORTEST_MS) return rate(kind, oldest, now, 'HISTORY');
  return ageOf(checkpoint, now) >= SHORTEST_CHECKPOINT_MS ? rate(kind, checkpoint, now, 'CHECKPOINT') : null;
}

function rate(kind: IdKind, before: IdCount, now: IdCount, from: IdRate['from']): IdRate | null {
  const used = kind === 'XID' ? now.XID - before.XID : (now.MULTIXACT - before.MULTIXACT + 2 ** 32) % 2 ** 32;
  return used > 0 ? { perDay: (used * DAY_MS) / ageOf(before, now), from } : null;
}

const ageOf = (count: IdCount, now: IdCount) => Date.parse(now.at) - Date.parse(count.at);
