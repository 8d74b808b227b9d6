import type { FindingLine } from './findings-command.ts';
import type { Severity } from './generated/api.ts';

export type GateFinding = FindingLine & { readonly database: string };

/** What the gate looked at. */
export interface GateInput {
  readonly databases: readonly string[];
  readonly findings: readonly GateFinding[];
  /** why a database could not be judged */
  readonly problems: readonly GateProblem[];
}

export interface GateProblem {
  readonly database: string;
  readonly message: string;
}

/** NEW fails the gate; KNOWN is in the baseline; MINOR is below the limit. */
export type Standing = 'NEW' | 'KNOWN' | 'MINOR';

export interface JudgedFinding extends GateFinding {
  readonly standing: Standing;
}

export interface Verdict extends GateInput {
  readonly findings: readonly JudgedFinding[];
  readonly limit: Severity;
  /** UNSURE: nothing new was found, but not everything could be judged */
  readonly outcome: 'PASSED' | 'FAILED' | 'UNSURE';
}

export const SEVERITIES = ['INFO', 'NOTICE', 'WARNING', 'CRITICAL'] as const satisfies readonly Severity[];

export const isSeverity = (word: unknown): word is Severity => SEVERITIES.includes(word as Severity);

const rank = (severity: Severity) => SEVERITIES.indexOf(severity);

/** A finding of the limit or worse fails, unless the baseline has it, at that severity or a worse one. */
export function judge(
  input: GateInput,
  known: readonly { readonly id: string; readonly severity: Severity }[],
  limit: Severity,
): Verdict {
  const put = new Map(known.map(({ id, severity }) => [id, severity]));
  const findings = input.findings.map((finding) => {
    const before = put.get(finding.id);
    const isKnown = before !== undefined && rank(finding.severity) <= rank(before);
    return { ...finding, standing: standingOf(isKnown, rank(finding.severity) >= rank(limit)) };
  });
  const failed = findings.some(({ standing }) => standing === 'NEW');
  const outcome = failed ? 'FAILED' : input.problems.length > 0 ? 'UNSURE' : 'PASSED';
  return { ...input, findings, limit, outcome };
}

function standingOf(isKnown: boolean, isGrave: boolean): Standing {
  if (isKnown) return 'KNOWN';
  return isGrave ? 'NEW' : 'MINOR';
}

/** What a finding is about, for people: schema, table, index, columns. */
export function subjectOf({ schema, table, index, columns }: FindingLine): string {
  const names = [schema, table, index].filter((name) => name != null).join('.');
  return columns.length === 0 ? names : `${names} (${columns.join(', ')})`;
}
