import { bytesInWords, percent } from '../analysis/define-analysis.ts';
import { whyUnknown } from '../analysis/judge-bloat.ts';
import type { Throttle } from '../domain/run.ts';
import { compactForecast } from './compact-forecast.ts';
import { roomFor } from './disk-room.ts';
import type { MethodForecast } from './method-forecast.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { repackForecast } from './repack-forecast.ts';
import { freezeShare, type TableLook } from './table-look.ts';
import { analyzeForecast, FREEZE_SHARE, heldBack, vacuumForecast } from './vacuum-forecast.ts';

/** What AUTO makes of a table, and why. */
export type Choice =
  | { readonly kind: 'METHOD'; readonly forecast: MethodForecast; readonly why: string }
  | { readonly kind: 'REINDEX'; readonly indexes: readonly string[]; readonly why: string }
  | { readonly kind: 'NOTHING'; readonly why: string };

export interface Wanted {
  readonly throttle: Throttle;
  readonly diskFreeBytes: number | null;
}

const DEAD_FLOOR = 1_000;
const DEAD_SHARE = 0.02;
const CHANGED_SHARE = 0.05;

/**
 * The first that helps: rows that must be frozen, dead rows (their room has to be free before anything can use it), free room
 * that will not be used again, bloated indexes, old statistics. Free room that new rows will soon use is left alone.
 */
export async function chooseMethod(context: PlanContext, look: TableLook, wanted: Wanted): Promise<Choice> {
  const vacuum = whyVacuum(look);
  if (vacuum !== null)
    return { kind: 'METHOD', forecast: vacuumForecast(look, wanted.throttle), why: vacuum };
  const rewrite = look.bloat?.verdict === 'NEEDS_REWRITE' ? await chooseRewrite(context, look, wanted) : null;
  if (rewrite?.kind === 'METHOD') return rewrite;
  const other = bloatedIndexes(look) ?? staleStatistics(look);
  if (other === null) return rewrite ?? { kind: 'NOTHING', why: whyNothing(look) };
  return rewrite === null ? other : { ...other, why: `${rewrite.why} ${other.why}` };
}

function whyVacuum({ relation, counters }: TableLook): string | null {
  const { live, dead, idAge, freezeMaxAge } = counters;
  if (freezeShare(counters) >= FREEZE_SHARE)
    return `the oldest transaction in ${nameOf(relation)} is ${idAge.XID} transactions old (multixacts: ${idAge.MULTIXACT}), near the ${freezeMaxAge.XID} at which a VACUUM against wraparound comes at a time of its own choosing.`;
  if (dead < DEAD_FLOOR || dead < live * DEAD_SHARE) return null;
  return `${dead} rows are dead beside ${live} live ones. Their space becomes reusable; plan again after it, to see whether what is free then is worth giving back.`;
}

/** New rows that would use the free room within this time make a rewrite a waste. */
const REUSED_DAYS = 30;

async function chooseRewrite(context: PlanContext, look: TableLook, wanted: Wanted): Promise<Choice> {
  const found = freeInWords(look);
  const days = daysUntilReused(look);
  if (days !== null && days <= REUSED_DAYS)
    return {
      kind: 'NOTHING',
      why: `${found}, and at the pace of late new rows will have used it in about ${days} days.`,
    };
  const compact = await compactWhereRowsMayGo(context, look, wanted.throttle, false);
  if (compact.wins && compact.blockers.length === 0)
    return { kind: 'METHOD', forecast: compact, why: compact.why };
  const whyNot = compact.wins ? compact.blockers[0]?.message : compact.why;
  const repack = await repackForecast(context, look);
  const room = await roomFor(context, look.relation, repack.impact, wanted.diskFreeBytes);
  const inTheWay = [...repack.blockers, ...room.blockers][0];
  if (inTheWay === undefined)
    return {
      kind: 'METHOD',
      forecast: repack,
      why: `${found}. COMPACT is not for it: ${whyNot ?? ''} ${repack.why}`,
    };
  return {
    kind: 'NOTHING',
    why: `${found}. COMPACT is not for it: ${whyNot ?? ''} Nor is REPACK: ${inTheWay.message} VACUUM_FULL would give it back, while everybody waits: ask for it by name.`,
  };
}

/** While somebody may still see the rows where they were, none of their room can be used: the file would grow. */
export async function compactWhereRowsMayGo(
  context: PlanContext,
  look: TableLook,
  throttle: Throttle,
  acknowledged: boolean,
): Promise<MethodForecast> {
  const { relation } = look;
  const forecast = await compactForecast(context, relation, throttle, acknowledged);
  const fixed =
    relation.kind === 'TABLE'
      ? []
      : [notice('NOT_A_TABLE', `${nameOf(relation)} takes no updates, by which rows would move.`)];
  return { ...forecast, blockers: [...fixed, ...forecast.blockers, ...heldBack(look)] };
}

const freeInWords = ({ relation, bloat }: TableLook) =>
  `${bytesInWords(bloat?.wastedBytes ?? 0)} of ${nameOf(relation)} (${percent(bloat?.ratio ?? 0)}) lie free`;

/** By the waste of the last days, while it became less. null: it did not, or is not known */
function daysUntilReused({ bloat, growth }: TableLook): number | null {
  const change = growth?.wastedBytesPerDay ?? null;
  if (change === null || change >= 0 || bloat?.wastedBytes == null) return null;
  return Math.ceil(bloat.wastedBytes / -change);
}

function bloatedIndexes({ indexes }: TableLook): Choice | null {
  const bloated = indexes.filter(({ bloat }) => bloat.verdict === 'NEEDS_REWRITE');
  if (bloated.length === 0) return null;
  const wasted = bloated.reduce((sum, { bloat }) => sum + (bloat.wastedBytes ?? 0), 0);
  const names = bloated.map(({ name }) => name);
  return {
    kind: 'REINDEX',
    indexes: names,
    why: `${bytesInWords(wasted)} lie free in ${names.join(', ')}, and go back to the disk when they are built anew beside the old ones.`,
  };
}

function staleStatistics(look: TableLook): Choice | null {
  const { live, changed, everAnalyzed } = look.counters;
  if (everAnalyzed && changed < Math.max(DEAD_FLOOR, live * CHANGED_SHARE)) return null;
  const why = everAnalyzed
    ? `${changed} rows have changed since the last ANALYZE, and few are dead.`
    : 'the table was never analysed, and few rows are dead.';
  return { kind: 'METHOD', forecast: analyzeForecast(look), why };
}

function whyNothing({ counters, bloat }: TableLook): string {
  const { dead, changed } = counters;
  const small = `${dead} rows are dead and ${changed} have changed since the last ANALYZE: neither VACUUM nor ANALYZE would help.`;
  if (bloat === null) return `${small} How much is free within its files could not be read.`;
  if (bloat.wastedBytes === null)
    return `${small} How much is free within its files is not known: ${whyUnknown(bloat)}`;
  return bloat.wastedBytes === 0
    ? small
    : `${small} ${bytesInWords(bloat.wastedBytes)} lie free within its files: new rows will use them.`;
}
