import type { Severity } from './generated/api.ts';
import { type JudgedFinding, subjectOf, type Verdict } from './gate.ts';

const LEVELS: Readonly<Record<Severity, 'note' | 'warning' | 'error'>> = {
  INFO: 'note',
  NOTICE: 'note',
  WARNING: 'warning',
  CRITICAL: 'error',
};

/** Static Analysis Results Interchange Format 2.1.0 (OASIS). */
export function sarif({ findings, problems }: Verdict): string {
  const kinds = [...new Set(findings.map(({ kind }) => kind))].sort();
  const log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'declutter', rules: kinds.map(ruleOf) } },
        invocations: [
          {
            executionSuccessful: problems.length === 0,
            toolExecutionNotifications: problems.map(notification),
          },
        ],
        results: findings.map((finding) => resultOf(finding, kinds.indexOf(finding.kind))),
      },
    ],
  };
  return JSON.stringify(log, null, 2);
}

const ruleOf = (kind: string) => ({
  id: kind,
  shortDescription: { text: kind.toLowerCase().replaceAll('_', ' ') },
});

const notification = ({ database, message }: Verdict['problems'][number]) => ({
  level: 'error',
  message: { text: `${database}: ${message}` },
});

const resultOf = (finding: JudgedFinding, ruleIndex: number) => ({
  ruleId: finding.kind,
  ruleIndex,
  level: LEVELS[finding.severity],
  message: { text: `${finding.title}. ${finding.detail}` },
  locations: [locationOf(finding)],
  partialFingerprints: { 'findingId/v1': finding.id },
  baselineState: finding.standing === 'KNOWN' ? 'unchanged' : 'new',
});

/** There is no file: viewers that want one get a path that reads as database/schema/table. */
function locationOf(finding: JudgedFinding) {
  const path = [finding.database, finding.schema, finding.table, finding.index].filter(
    (part) => part != null,
  );
  return {
    physicalLocation: { artifactLocation: { uri: path.map((part) => encodeURIComponent(part)).join('/') } },
    logicalLocations: [
      { fullyQualifiedName: `${finding.database}: ${subjectOf(finding)}`, kind: 'resource' },
    ],
  };
}
