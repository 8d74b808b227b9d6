import { Command } from 'commander';
import { ApiError } from './api-error.ts';
import type { CommandContext } from './commands.ts';
import { instant } from './format.ts';
import { PoliciesDocument, type PoliciesQuery, SavedPoliciesDocument } from './generated/api.ts';
import { entryOf } from './policy-entry.ts';
import { policyFile } from './policy-files.ts';
import { printRows } from './print-rows.ts';
import { reported } from './reported.ts';
import { runPolicyCommand } from './run-policy-command.ts';

export const policiesCommand = (context: CommandContext): Command =>
  new Command('policies')
    .description('list, export and run policies')
    .addCommand(listCommand(context), { isDefault: true })
    .addCommand(exportCommand(context))
    .addCommand(runPolicyCommand(context));

function listCommand(context: CommandContext): Command {
  return new Command('list')
    .description('list the policies with what last came of them, and when they run next')
    .action((options: { json?: true }, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const { policies } = await client.request(PoliciesDocument, {});
        printRows(context, options, policies, POLICY_COLUMNS, policyCells);
      }),
    );
}

function exportCommand(context: CommandContext): Command {
  return new Command('export')
    .description('print policies as a file for apply, in the order of their names')
    .argument('[names...]', 'these; all when none is named')
    .action((names: readonly string[], options: { json?: true }, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const { policies } = await client.request(SavedPoliciesDocument, {});
        const missing = names.find((name) => !policies.some((policy) => policy.name === name));
        if (missing !== undefined) throw new ApiError('NOT_FOUND', `There is no policy "${missing}".`, null);
        const entries = policies
          .filter(({ name }) => names.length === 0 || names.includes(name))
          .map(entryOf);
        if (options.json) for (const entry of entries) context.print(JSON.stringify(entry));
        else context.print(policyFile(entries).trimEnd());
      }),
    );
}

const POLICY_COLUMNS = [
  { title: 'policy' },
  { title: 'kind' },
  { title: 'schedule' },
  { title: 'time zone' },
  { title: 'next run (UTC)' },
  { title: 'last (UTC)' },
  { title: 'came of it' },
  { title: 'why', most: 70 },
];

const policyCells = (policy: PoliciesQuery['policies'][number]) => [
  policy.name,
  policy.kind,
  policy.schedule ?? 'by hand',
  policy.timeZone,
  policy.enabled ? instant(policy.nextRunAt) : 'not enabled',
  instant(policy.lastResult?.createdAt),
  policy.lastResult?.outcome ?? '',
  policy.lastResult?.detail ?? '',
];
