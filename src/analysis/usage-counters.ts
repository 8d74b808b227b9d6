import type { AnalysisContext, IndexFacts } from './define-analysis.ts';

const DAY_MS = 86_400_000;
/** Counters younger than this have not seen the weekly report. */
const YOUNG_DAYS = 7;
/** What was last read so long ago is unused too (PostgreSQL 16 and newer tell). */
export const FORGOTTEN_DAYS = 90;

export type UsageContext = Pick<AnalysisContext, 'figures' | 'watchedSince' | 'now' | 'replicas'>;

export const daysBetween = (from: Date, to: Date) => (to.getTime() - from.getTime()) / DAY_MS;

export const daysBefore = (now: Date, days: number) => new Date(now.getTime() - days * DAY_MS);

/**
 * Counters that were never reset are at least as old as our first look at the database; none is older than the
 * server's own, which begin anew with a crash or an upgrade.
 */
export function countedSince({ figures, watchedSince }: UsageContext): Date | null {
  const since = figures.countersSince ?? watchedSince;
  const began = figures.countersBegan;
  return since === null || began === null || since > began ? since : began;
}

/** "since 2026-01-31 at least", for a sentence about what was not seen. */
export function countedPeriod(context: UsageContext): string {
  const since = countedSince(context);
  return since === null ? 'since its counters began' : `since ${since.toISOString().slice(0, 10)} at least`;
}

/** No copy of the database has scanned it either. */
export const isIdleOnReplicas = (oid: number, { replicas }: UsageContext) =>
  replicas.every((replica) => (replica.scans.get(oid) ?? 0) === 0);

/** On the primary and on all copies together; of a partitioned index, those of its parts. */
export const scansOf = ({ oid, parts, scans }: IndexFacts, { replicas }: UsageContext): number =>
  [oid, ...parts].reduce(
    (sum, each) => sum + replicas.reduce((total, replica) => total + (replica.scans.get(each) ?? 0), 0),
    scans,
  );

/** Nobody uses an index, or nobody has for long. */
export const isIdle = (index: IndexFacts, context: UsageContext): boolean =>
  scansOf(index, context) === 0 ||
  (index.lastScanAt !== null &&
    daysBetween(new Date(index.lastScanAt), context.now) > FORGOTTEN_DAYS &&
    [index.oid, ...index.parts].every((oid) => isIdleOnReplicas(oid, context)));

/** What of its use was not seen, a sentence each; where there is one, a finding only informs. */
export function doubtsAboutUsage(context: UsageContext): string[] {
  const since = countedSince(context);
  const days = since === null ? 0 : daysBetween(since, context.now);
  const young =
    days < YOUNG_DAYS
      ? [`Usage has been counted for ${Math.floor(days)} days only: wait until the rarest report has run.`]
      : [];
  const lost = context.replicas.filter((replica) => replica.unreachable !== null);
  const unseen = unseenStandbys(context);
  const recent = context.replicas.filter(
    ({ unreachable, countersSince }) =>
      unreachable === null &&
      (countersSince === null || daysBetween(countersSince, context.now) < YOUNG_DAYS),
  );
  return [
    ...young,
    ...lost.map(
      (replica) => `The replica ${replica.name} could not be asked (${replica.unreachable ?? ''}).`,
    ),
    ...recent.map(
      (replica) => `The counters of the replica ${replica.name} are not known to be ${YOUNG_DAYS} days old.`,
    ),
    ...(unseen > 0
      ? [`${unseen} more standbys stream from this server and are not registered: queries there count too.`]
      : []),
    ...(context.figures.awayStandbys > 0
      ? [
          `${context.figures.awayStandbys} replication slots of standbys are not in use now: whoever comes back may have used it.`,
        ]
      : []),
  ];
}

/** Standbys of standbys count too; a replica that is registered but receives nothing is not among them. */
const unseenStandbys = ({ figures, replicas }: UsageContext) =>
  replicas.reduce((sum, { standbys, receives }) => sum + standbys - (receives ? 1 : 0), figures.standbys);

/** The same for the evidence. */
export const replicasInEvidence = ({ replicas }: UsageContext) =>
  replicas.map(({ name, unreachable, countersSince }) => ({
    name,
    unreachable,
    countedSince: countersSince?.toISOString() ?? null,
  }));
