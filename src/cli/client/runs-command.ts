import { Command } from 'commander';
import type { CommandContext } from './commands.ts';
import { reported } from './reported.ts';
import type { RunReport } from './follow-run.ts';
import { count, instant, percent } from './format.ts';
import { RunsDocument, type RunState } from './generated/api.ts';
import { allPages } from './pages.ts';
import { printRows } from './print-rows.ts';
import { wholeNumber } from './whole-number.ts';

interface Options {
  readonly database?: string;
  readonly state?: readonly string[];
  readonly limit: number;
  readonly json?: true;
}

export function runsCommand(context: CommandContext): Command {
  return new Command('runs')
    .description('list runs, the newest first')
    .option('--database <name>', 'of this database only')
    .option('--state <states...>', 'in these states only, such as RUNNING PAUSED')
    .option('--limit <count>', 'how many', wholeNumber, 20)
    .action((options: Options, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const runs = await allPages(options.limit, async (first, after) => {
          const states = (options.state as readonly RunState[] | undefined)?.slice() ?? null;
          const page = await client.request(RunsDocument, {
            database: options.database ?? null,
            states,
            first,
            after,
          });
          return page.runs;
        });
        printRows(context, options, runs, RUN_COLUMNS, runCells);
      }),
    );
}

const RUN_COLUMNS = [
  { title: 'run' },
  { title: 'kind' },
  { title: 'database' },
  { title: 'table', most: 50 },
  { title: 'state' },
  { title: 'done', right: true },
  { title: 'rows', right: true },
  { title: 'started (UTC)' },
  { title: 'why', most: 70 },
];

const runCells = (run: RunReport) => [
  run.id,
  run.plan.kind,
  run.plan.database.name,
  run.plan.table == null ? '' : `${run.plan.schema ?? ''}.${run.plan.table}`,
  run.state,
  percent(run.progress.ratio),
  count(run.progress.rowsDone),
  instant(run.startedAt),
  run.state === 'SUCCEEDED' ? '' : (run.stateReason ?? ''),
];
