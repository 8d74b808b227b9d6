import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { type Counter, counterOfKey, counterOfSequence } from '../counters.ts';
import { type AnalysisContext, defineAnalysis, type KeptFinding, percent } from '../define-analysis.ts';
import { type End, forecastEnd, usableReadings, withReading } from '../forecast-end.ts';
import { readNarrowKeys } from '../read-narrow-keys.ts';
import { readSequences } from '../read-sequences.ts';

/** From here on it is worth a thought: what has to be done about it takes long. */
const SHARE_TO_TELL = 0.6;
const DAY_MS = 86_400_000;

/** Sequences, and columns too narrow for what they count, that will run out of numbers. */
export const sequenceExhaustion = defineAnalysis({
  kind: 'SEQUENCE_EXHAUSTION',
  docs: 'docs/analyses/sequence-exhaustion.md',
  find: async (context) => {
    const counters = await readCounters(context);
    const near = counters.filter((counter) => counter.share >= SHARE_TO_TELL);
    if (near.length === 0) return [];
    const kept = new Map((await context.memory.findings()).map((finding) => [subjectOf(finding), finding]));
    // Two sequences may feed one column: the finding is about the column, and about the one that ends first.
    const worst = near.sort((a, b) => b.share - a.share);
    const bySubject = new Map(worst.reverse().map((counter) => [subjectOf(counter), counter]));
    return [...bySubject].map(([subject, counter]) => faultOf(counter, kept.get(subject), context));
  },
});

const subjectOf = ({ schema, table, columns }: Pick<KeptFinding, 'schema' | 'table' | 'columns'>) =>
  JSON.stringify([schema, table, columns]);

async function readCounters({ session, unsure }: AnalysisContext): Promise<Counter[]> {
  const sequences = await readSequences(session);
  const known = new Set<string>();
  const counters = sequences.flatMap((sequence) => {
    const counter = counterOfSequence(sequence);
    if (counter === 'UNREADABLE') {
      const subject = sequence.columns[0] ?? sequence;
      unsure({ schema: subject.schema, table: subject.name, index: null }, UNREADABLE_SEQUENCE);
      return [];
    }
    for (const column of sequence.columns) known.add(keyOf(column));
    return counter ?? [];
  });
  const keys = (await readNarrowKeys(session)).filter((key) => !known.has(keyOf(key)));
  for (const key of keys.filter(({ unknown }) => unknown))
    unsure({ schema: key.schema, table: key.name, index: null }, WITHOUT_STATISTICS);
  return [...counters, ...keys.flatMap((key) => counterOfKey(key) ?? [])];
}

const keyOf = ({ table, column }: { table: number; column: string }) => JSON.stringify([table, column]);

const UNREADABLE_SEQUENCE =
  'The last value of a sequence could not be read: it is locked, or the role lacks SELECT on it (GRANT SELECT, or pg_read_all_data).';
const WITHOUT_STATISTICS =
  'How far a key has come is not known: the table was never analysed, or the role may not read it (GRANT SELECT).';

function faultOf(counter: Counter, kept: KeptFinding | undefined, context: AnalysisContext): FoundFault {
  const { last, left, share, up } = counter;
  const readings = usableReadings(kept?.evidence, last, up, context.now);
  const end = forecastEnd(readings, last, left, context.now);
  return {
    kind: 'SEQUENCE_EXHAUSTION',
    severity: severityOf(counter, end, context.now),
    schema: counter.schema,
    table: counter.table,
    index: null,
    columns: counter.columns,
    title: `${counter.title} ${left > 0n ? `has used ${percent(share)} of its numbers` : 'has run out of numbers'}${end?.on && left > 0n ? `, the last by ${day(end.on)}` : ''}`,
    detail: [
      `It stands at ${last} and ends at ${counter.end}: ${left > 0n ? left : 0n} are left.`,
      pace(end),
      counter.limit,
      ...counter.doubts,
      counter.advice,
    ].join(' '),
    wastedBytes: null,
    rows: null,
    evidence: {
      sequence: counter.sequence,
      method: counter.sequence === null ? 'STATISTICS' : 'SEQUENCE',
      last: String(last),
      end: String(counter.end),
      share,
      perDay: end?.perDay ?? null,
      runsOutOn: end?.on ? day(end.on) : null,
      readings: withReading(readings, last, context.now),
    },
    remedy: null,
  };
}

const day = (date: Date) => date.toISOString().slice(0, 10);

function pace(end: End | null): string {
  if (end === null) return 'No date yet: the pace is known from the next analysis on.';
  const watched = end.days < 2 ? `${Math.round(end.days * 24)} hours` : `${Math.round(end.days)} days`;
  if (end.perDay === 0) return `It has not moved in ${watched}.`;
  const perDay = end.perDay < 10 ? end.perDay.toFixed(1) : Math.round(end.perDay);
  return `At the pace of the last ${watched} (${perDay} a day) ${end.on ? `they last until ${day(end.on)}` : 'they last for more than a hundred years'}.`;
}

/** A pace that was watched for less than a day may make it graver, not milder. */
function severityOf({ share, left, doubts }: Counter, end: End | null, now: Date): Severity {
  if (left <= 0n) return 'CRITICAL';
  if (doubts.length > 0) return 'INFO';
  if (end === null) return byShare(share);
  const found = byDate(end.on, now);
  return end.days >= 1 || RANKS.indexOf(found) > RANKS.indexOf(byShare(share)) ? found : byShare(share);
}

const RANKS: readonly Severity[] = ['INFO', 'NOTICE', 'WARNING', 'CRITICAL'];

const byShare = (share: number): Severity =>
  share >= 0.95 ? 'CRITICAL' : share >= 0.8 ? 'WARNING' : 'NOTICE';

function byDate(date: Date | null, now: Date): Severity {
  const days = date ? (date.getTime() - now.getTime()) / DAY_MS : Infinity;
  if (days < 30) return 'CRITICAL';
  if (days < 180) return 'WARNING';
  return days < 5 * 365 ? 'NOTICE' : 'INFO';
}
