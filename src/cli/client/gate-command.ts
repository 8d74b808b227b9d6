import { Command, InvalidArgumentError, Option } from 'commander';
import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { readBaseline, writeBaseline } from './baseline.ts';
import type { CommandContext } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { listFindings } from './findings-command.ts';
import {
  type GateFinding,
  type GateInput,
  type GateProblem,
  isSeverity,
  judge,
  type Verdict,
} from './gate.ts';
import { REPORTS } from './gate-reports.ts';
import {
  AnalyzeDatabaseDocument,
  GateDatabasesDocument,
  type GateDatabasesQuery,
  type Severity,
} from './generated/api.ts';
import { reported } from './reported.ts';

interface Options {
  readonly database?: readonly string[];
  readonly all?: true;
  readonly baseline?: string;
  readonly writeBaseline?: true;
  readonly maxSeverity: Severity;
  readonly format: keyof typeof REPORTS;
  readonly analyze?: true;
  readonly json?: true;
}

const EXIT_BY_OUTCOME: Readonly<Record<Verdict['outcome'], number>> = {
  PASSED: EXIT.done,
  FAILED: EXIT.found,
  UNSURE: EXIT.failed,
};

export function gateCommand(context: CommandContext): Command {
  return new Command('gate')
    .description('fail on findings that are new and grave, for CI')
    .addOption(new Option('--database <names...>', 'these databases').conflicts('all'))
    .option('--all', 'every database')
    .option('--baseline <file>', 'findings that are known and do not fail')
    .option('--write-baseline', 'write all findings of today into the baseline, and pass')
    .option('--max-severity <severity>', 'new findings of this severity or worse fail', severity, 'WARNING')
    .addOption(new Option('--format <format>', 'of the report').choices(Object.keys(REPORTS)).default('text'))
    .option('--analyze', 'take a snapshot of each database first (OPERATOR)')
    .action((options: Options, command: Command) =>
      reported(async () => {
        checkOptions(options, command);
        const input = await look(await context.connect(command), options);
        if (options.writeBaseline) await renew(context, options.baseline ?? '', input);
        else await answer(context, options, input);
      }),
    );
}

function severity(text: string): Severity {
  const word = text.toUpperCase();
  if (isSeverity(word)) return word;
  throw new InvalidArgumentError('It must be info, notice, warning or critical.');
}

function checkOptions(options: Options, command: Command): void {
  if (options.database === undefined && !options.all)
    command.error('error: name databases by --database, or take --all of them');
  if (options.writeBaseline && options.baseline === undefined)
    command.error('error: --write-baseline needs --baseline');
}

async function answer(context: CommandContext, options: Options, input: GateInput): Promise<void> {
  const known = options.baseline === undefined ? [] : await readBaseline(options.baseline);
  const verdict = judge(input, known, options.maxSeverity);
  context.print(REPORTS[options.json ? 'json' : options.format](verdict));
  process.exitCode = EXIT_BY_OUTCOME[verdict.outcome];
}

/** A baseline of what could not be looked at would have to be written again. */
async function renew(
  context: CommandContext,
  path: string,
  { databases, findings, problems }: GateInput,
): Promise<void> {
  const [problem] = problems;
  if (problem) throw new ApiError('TARGET_UNREACHABLE', `${problem.database}: ${problem.message}`, null);
  await writeBaseline(path, databases, findings);
  context.print(`${path} now has ${findings.length} findings of ${databases.join(', ')}.`);
}

async function look(client: ApiClient, options: Options): Promise<GateInput> {
  const databases = await chosen(client, options);
  const problems: GateProblem[] = [];
  if (options.analyze) for (const database of databases) problems.push(...(await analyze(client, database)));
  const figures = await client.request(GateDatabasesDocument, {});
  const findings: GateFinding[] = [];
  for (const database of databases) {
    const found = await listFindings(client, database, { limit: Infinity });
    findings.push(...found.map((finding) => ({ ...finding, database })));
    if (!problems.some((problem) => problem.database === database))
      problems.push(...doubts(figures, database));
  }
  return { databases, findings, problems };
}

/** @throws ApiError when there is none: nothing was looked at, and that is no pass */
async function chosen(client: ApiClient, { database }: Options): Promise<string[]> {
  const { databases } = await client.request(GateDatabasesDocument, {});
  const names = databases.map(({ name }) => name);
  const missing = database?.find((name) => !names.includes(name));
  if (missing !== undefined)
    throw new ApiError('NOT_FOUND', `There is no database "${missing}", or you may not see it.`, null);
  if (names.length === 0) throw new ApiError('NOT_FOUND', 'There is no database to look at.', null);
  return database === undefined ? names : [...new Set(database)];
}

async function analyze(client: ApiClient, database: string): Promise<GateProblem[]> {
  try {
    await client.request(AnalyzeDatabaseDocument, { name: database, exact: false });
    return [];
  } catch (error) {
    if (!(error instanceof ApiError) || !OF_ONE_DATABASE.has(error.code)) throw error;
    return [{ database, message: error.message }];
  }
}

/** What concerns one database is told beside the findings of the others. */
const OF_ONE_DATABASE: ReadonlySet<string> = new Set([
  'TARGET_UNREACHABLE',
  'TARGET_BUSY',
  'PRECONDITION_FAILED',
  'CONFIGURATION',
  'INTERNAL_SERVER_ERROR',
]);

/** Findings of a database that does not answer are old, and none at all before the first snapshot. */
function doubts({ databases }: GateDatabasesQuery, name: string): GateProblem[] {
  const figures = databases.find((database) => database.name === name);
  if (figures?.snapshotAt == null) return [{ database: name, message: 'There is no snapshot of it yet.' }];
  if (figures.unreachable == null) return [];
  return [
    {
      database: name,
      message: `Its findings are of ${figures.snapshotAt}, since it does not answer: ${figures.unreachable}`,
    },
  ];
}
