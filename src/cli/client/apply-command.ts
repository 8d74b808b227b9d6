import { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { CommandContext } from './commands.ts';
import { confirmed } from './confirmed.ts';
import { EXIT } from './exit-codes.ts';
import { DeletePolicyDocument, SavedPoliciesDocument, SavePolicyDocument } from './generated/api.ts';
import { changesAsText, type PolicyChange, policyChanges } from './policy-changes.ts';
import { entryOf, type PolicyEntry } from './policy-entry.ts';
import { readPolicyFiles } from './policy-files.ts';
import { reported } from './reported.ts';

interface Options {
  readonly file: readonly string[];
  readonly dryRun?: true;
  readonly prune?: true;
  readonly yes?: true;
  readonly json?: true;
}

export function applyCommand(context: CommandContext): Command {
  return new Command('apply')
    .description('bring the policies to what files say; shows first what would change')
    .requiredOption('-f, --file <files...>', 'with policies, as YAML or JSON; - is standard input')
    .option('--dry-run', 'show what would change, and change nothing; exit code 2 when there is something')
    .option('--prune', 'delete the policies that no file has')
    .option('--yes', 'do not ask on a terminal')
    .action((options: Options, command: Command) =>
      reported(async () => {
        const entries = await readPolicyFiles(options.file);
        const client = await context.connect(command);
        const changes = await lookAhead(client, entries, options.prune === true);
        if (options.json) for (const change of changes) context.print(JSON.stringify(change));
        else context.print(changesAsText(changes));
        await goOn(client, entries, changes, options);
      }),
    );
}

/** The API says what each policy would be like, or why it would be refused, before anything is changed. */
async function lookAhead(
  client: ApiClient,
  entries: readonly PolicyEntry[],
  prune: boolean,
): Promise<PolicyChange[]> {
  const { policies } = await client.request(SavedPoliciesDocument, {});
  const after: PolicyEntry[] = [];
  const refused: string[] = [];
  for (const entry of entries) {
    const answer = await save(client, entry, true).catch((error: unknown) => refusalOf(error));
    if (answer instanceof ApiError) refused.push(`${entry.name}: ${answer.code}: ${answer.message}`);
    else after.push(answer);
  }
  if (refused.length > 0)
    throw new ApiError('BAD_USER_INPUT', `Nothing was changed.\n${refused.join('\n')}`, null);
  return policyChanges(policies.map(entryOf), after, prune);
}

const OF_ONE_POLICY: ReadonlySet<string> = new Set(['BAD_USER_INPUT', 'NOT_FOUND', 'PRECONDITION_FAILED']);

/** What concerns one policy is told beside what concerns the others. */
function refusalOf(error: unknown): ApiError {
  if (error instanceof ApiError && OF_ONE_POLICY.has(error.code)) return error;
  throw error;
}

/** What is in the file is checked by the API, which knows best. */
async function save(client: ApiClient, entry: PolicyEntry, dryRun: boolean): Promise<PolicyEntry> {
  const { savePolicy } = await client.request(SavePolicyDocument, {
    input: entry,
    dryRun,
  });
  return entryOf(savePolicy);
}

async function goOn(
  client: ApiClient,
  entries: readonly PolicyEntry[],
  changes: readonly PolicyChange[],
  options: Options,
): Promise<void> {
  const todo = changes.filter(({ change }) => change !== 'NONE');
  if (todo.length === 0) return;
  if (options.dryRun) return void (process.exitCode = EXIT.found);
  if (!options.yes && !(await confirmed('Go on?')))
    throw new ApiError('CANCELLED', 'Nothing was changed.', null);
  for (const { policy, change } of todo) {
    const entry = entries.find(({ name }) => name === policy);
    if (entry === undefined) await client.request(DeletePolicyDocument, { name: policy });
    else await save(client, entry, false);
    process.stderr.write(`${change === 'DELETE' ? 'deleted' : 'saved'} ${policy}\n`);
  }
}
