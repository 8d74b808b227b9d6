import { Command, Option } from 'commander';
import type { ApiClient } from './api-client.ts';
import type { CommandContext } from './commands.ts';
import { reported } from './reported.ts';
import { bytes, count } from './format.ts';
import { type FindingKind, FindingsDocument, type FindingsQuery, type Severity } from './generated/api.ts';
import { allPages } from './pages.ts';
import { printRows } from './print-rows.ts';
import { wholeNumber } from './whole-number.ts';

export type FindingLine = FindingsQuery['findings']['nodes'][number];

interface Options {
  readonly kind?: readonly string[];
  readonly severity?: Severity;
  readonly suppressed?: true;
  readonly limit: number;
  readonly json?: true;
}

export function findingsCommand(context: CommandContext): Command {
  return new Command('findings')
    .description('list what clutters a database')
    .argument('<database>')
    .option('--kind <kinds...>', 'of these kinds only, such as TABLE_BLOAT')
    .addOption(
      new Option('--severity <least>', 'this and worse').choices(['INFO', 'NOTICE', 'WARNING', 'CRITICAL']),
    )
    .option('--suppressed', 'suppressed ones too')
    .option('--limit <count>', 'how many', wholeNumber, 50)
    .action((database: string, options: Options, command: Command) =>
      reported(async () => {
        const findings = await listFindings(await context.connect(command), database, options);
        printRows(context, options, findings, FINDING_COLUMNS, findingCells);
      }),
    );
}

export const listFindings = (
  client: ApiClient,
  database: string,
  options: Pick<Options, 'kind' | 'severity' | 'suppressed' | 'limit'>,
): Promise<FindingLine[]> =>
  allPages(options.limit, async (first, after) => {
    const { findings } = await client.request(FindingsDocument, {
      database,
      // The API knows which kinds there are and names one that is not.
      kinds: (options.kind as readonly FindingKind[] | undefined)?.slice() ?? null,
      minSeverity: options.severity ?? null,
      includeSuppressed: options.suppressed ?? false,
      first,
      after,
    });
    return findings;
  });

export const FINDING_COLUMNS = [
  { title: 'severity' },
  { title: 'kind' },
  { title: 'where', most: 50 },
  { title: 'waste', right: true },
  { title: 'rows', right: true },
  { title: 'finding', most: 90 },
];

export const findingCells = (finding: FindingLine) => [
  finding.suppressed ? `(${finding.severity})` : finding.severity,
  finding.kind,
  [finding.index ?? finding.table ?? '', ...finding.columns].filter((name) => name !== '').join(' / '),
  finding.wastedBytes == null ? '' : bytes(finding.wastedBytes),
  finding.rows == null ? '' : count(finding.rows),
  finding.title,
];
