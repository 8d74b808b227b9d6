import os from 'node:os';
import { count } from '../src/cli/client/format.ts';
import type { Memory } from './product.ts';
import { type Limit, limit, limitRows } from './report.ts';

/** Seconds of alternating rounds: the bare queries, our analysis, all pages of the tables. */
export interface AnalysisContest {
  readonly tables: number;
  readonly bare: number;
  readonly analysis: number;
  readonly pages: number;
}

export interface AnalysisResults {
  readonly version: string;
  readonly rounds: number;
  readonly some: AnalysisContest;
  readonly many: AnalysisContest;
  /** null where Debian's packages cannot be reached */
  readonly known: AnalysisContest | null;
  /** of the API, before its first analysis and after those of some tables */
  readonly idle: Memory;
  readonly after: Memory;
}

const ours = ({ analysis, pages }: AnalysisContest) => analysis + pages;

export function analysisLimits({ some, many, idle, after }: AnalysisResults): Limit[] {
  const growth = ours(many) / ours(some) / (many.tables / some.tables);
  return [
    limit(
      `analysis and all pages of ${count(some.tables)} tables against the bare queries`,
      '2 times or less',
      ours(some) / some.bare,
      (is) => is <= 2,
      ' times',
    ),
    limit(
      'what they take of memory, beyond the idle API',
      'under 150 MB',
      after.peak - idle.now,
      (is) => is < 150,
      ' MB',
    ),
    limit(
      `time per table at ${count(many.tables)} tables`,
      '1.3 times or less',
      growth,
      (is) => is <= 1.3,
      ' times',
    ),
  ];
}

export function analysisReport(results: AnalysisResults, limits: readonly Limit[]): string {
  const { version, rounds, some, many, known, idle, after } = results;
  return `# How fast a database is analysed

Made by \`npm run bench:analysis\`, which writes this page and fails when a limit is missed.

${os.cpus().length} cores, PostgreSQL ${version} on the same machine, Node ${process.versions.node}. Sums of ${rounds} rounds, in turns with the peer.

| what | wanted | measured | |
|---|---|---|---|
${limitRows(limits)}

The peer is five catalog queries that one would send by hand for sizes, counters, column statistics, indexes and bloat by the usual formula;
they judge nothing. An analysis asks every kind of question, keeps its figures and findings in the control store, and takes samples of rows
within a budget. Each table has nine columns and two indexes.

| | tables | bare queries, s | analysis, s | all pages, s | ratio |
|---|---|---|---|---|---|
${[some, many, known].flatMap((contest) => (contest ? [row(contest, contest === known ? 'a public application, six tenants' : 'made')] : [])).join('\n')}

The public application's tables have many columns and foreign keys and hardly any rows: what is asked once for a database weighs more there.

The API's resident memory: ${idle.now.toFixed(0)} MB before its first analysis, ${after.peak.toFixed(0)} MB at most while it analysed ${count(some.tables)} tables and served all pages.
`;
}

const row = (contest: AnalysisContest, what: string) =>
  `| ${what} | ${count(contest.tables)} | ${contest.bare.toFixed(2)} | ${contest.analysis.toFixed(2)} | ${contest.pages.toFixed(2)} | ${(ours(contest) / contest.bare).toFixed(2)} |`;
