import { FINDING_COLUMNS, findingCells } from './findings-command.ts';
import { type JudgedFinding, subjectOf, type Verdict } from './gate.ts';
import { junit } from './gate-junit.ts';
import { sarif } from './gate-sarif.ts';
import { table } from './table.ts';

export const REPORTS = { text, json, sarif, junit } as const satisfies Record<
  string,
  (verdict: Verdict) => string
>;

const WORDS = {
  PASSED: 'The gate is passed',
  FAILED: 'The gate is not passed',
  UNSURE: 'The gate is not passed: not everything could be judged',
} as const;

function text(verdict: Verdict): string {
  const fresh = of(verdict, 'NEW');
  const rows = fresh.map((finding) => [finding.database, ...findingCells(finding)]);
  const list = rows.length === 0 ? [] : [table([{ title: 'database' }, ...FINDING_COLUMNS], rows)];
  const problems = verdict.problems.map(({ database, message }) => `${database}: ${message}`);
  const counts = `${fresh.length} new of ${verdict.limit} or worse, ${of(verdict, 'KNOWN').length} known, ${of(verdict, 'MINOR').length} below that.`;
  return [...list, ...problems, `${WORDS[verdict.outcome]}. Findings: ${counts}`].join('\n');
}

const of = ({ findings }: Verdict, standing: JudgedFinding['standing']) =>
  findings.filter((finding) => finding.standing === standing);

function json({ outcome, limit, databases, problems, findings }: Verdict): string {
  const told = findings.map((finding) => ({ ...finding, subject: subjectOf(finding) }));
  return JSON.stringify({ outcome, limit, databases, problems, findings: told }, null, 2);
}
