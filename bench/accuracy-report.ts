import type { Bloat } from '../src/domain/finding.ts';
import type { BloatCase } from '../test/analysis/bloat-cases.ts';
import type { PeerAnswer } from './accuracy-peers.ts';

/** One relation, with everybody's answer about it. */
export interface Judged {
  readonly one: BloatCase;
  readonly truth: number;
  readonly estimated: Bloat | undefined;
  readonly measured: Bloat | undefined;
  /** as a role with pg_monitor only */
  readonly watched: Bloat | undefined;
  readonly peer: PeerAnswer;
  /** what is wrong with our answers */
  readonly faults: readonly string[];
}

export interface Accuracy {
  readonly version: number;
  readonly judged: readonly Judged[];
}

const share = (ratio: number | null | undefined) => (ratio == null ? '-' : `${Math.round(100 * ratio)} %`);

const ours = (bloat: Bloat | undefined) =>
  !bloat
    ? 'nothing'
    : bloat.verdict === 'UNKNOWN'
      ? `UNKNOWN (${bloat.causes[0]?.code ?? '?'})`
      : `${share(bloat.ratio)} ${bloat.verdict}`;

export const lineOf = ({ one, truth, estimated, measured, peer }: Judged) =>
  [
    one.kind === 'TABLE' ? 'table' : 'index',
    one.shape,
    one.state,
    share(truth),
    ours(estimated),
    ours(measured),
    share(peer.formula),
    share(peer.reading),
  ].join(' | ');

const HEAD = [
  '| | shape | state | truth | by statistics | by reading | the usual formula | plain pgstattuple, pgstatindex |',
  '|---|---|---|---|---|---|---|---|',
];

/** The farthest from the truth; who gave no answer at all is not counted, which favours those who often do not. */
function largestError(judged: readonly Judged[], answer: (of: Judged) => number | null | undefined) {
  const errors = judged.flatMap((one) => {
    const ratio = answer(one);
    return ratio == null ? [] : [{ one, error: Math.abs(ratio - one.truth) }];
  });
  const worst = errors.toSorted((a, b) => b.error - a.error)[0];
  const wrong = errors.filter(({ error }) => error > 0.1).length;
  return { worst, wrong, answered: errors.length, of: judged.length };
}

const WAYS: readonly (readonly [string, (of: Judged) => number | null | undefined])[] = [
  ['Declutter by statistics', ({ estimated }) => estimated?.ratio],
  ['Declutter by reading', ({ measured }) => measured?.ratio],
  ['Declutter as pg_monitor only', ({ watched }) => watched?.ratio],
  ['the usual formula', ({ peer }) => peer.formula],
  ['plain pgstattuple, pgstatindex', ({ peer }) => peer.reading],
];

export function summaryOf(judged: readonly Judged[]): string[] {
  return WAYS.map(([name, answer]) => {
    const { worst, wrong, answered, of } = largestError(judged, answer);
    const where = worst ? `${worst.one.one.shape}, ${worst.one.one.state}` : '-';
    return `| ${name} | ${answered} of ${of} | ${wrong} | ${Math.round(100 * (worst?.error ?? 0))} points (${where}) |`;
  });
}

export function accuracyPage(all: readonly Accuracy[]): string {
  const [{ judged } = { judged: [] }] = all;
  const shapes = (kind: string) =>
    new Set(judged.filter(({ one }) => one.kind === kind).map(({ one }) => one.shape)).size;
  return `# How right the bloat figures are

Made by \`npm run bench:accuracy\`, which writes this page and fails when one of our answers is wrong.

${shapes('TABLE')} shapes of tables and ${shapes('INDEX')} of indexes, each fresh and in several states of decay, ${judged.length} relations in all. Every one is judged and then
rewritten (VACUUM FULL, REINDEX): what came back is the truth. An answer is wrong when it is more than 10 points off, when it asks for a
rewrite where VACUUM is due, or when it is UNKNOWN without a reason. The usual formula multiplies the rows with the widths in pg_stats; plain
pgstattuple adds free and dead room, plain pgstatindex is what is missing to full leaves.

${all.map(({ version, judged: those }) => summarySection(version, those)).join('\n\n')}

## Every relation${all.length > 1 ? `, PostgreSQL ${all[0]?.version ?? ''}` : ''}

States: fresh; loaded (the index was there before the rows); scattered (every other row deleted, vacuumed, analysed); older_gone and newer_gone
(two thirds at the beginning, or half at the end); dead (every other row deleted, nothing vacuumed); dead_analyzed (the same, analysed);
special (a history of its own: see test/analysis/special-shapes.ts).

${[...HEAD, ...judged.map((one) => `| ${lineOf(one)} |`)].join('\n')}
`;
}

const summarySection = (version: number, judged: readonly Judged[]) => `## PostgreSQL ${version}

| | answers | more than 10 points off | largest error |
|---|---|---|---|
${summaryOf(judged).join('\n')}

The answers of Declutter that are missing are UNKNOWN, or NEEDS_VACUUM without a figure; the missing ones of the others are silence.`;
