import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import type { CommandContext } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { type PlanReportFragment, RunPolicyDocument } from './generated/api.ts';
import { reported } from './reported.ts';
import { watchToEnd } from './watch-command.ts';

interface Options {
  readonly wait?: true;
  readonly key?: string;
  readonly json?: true;
}

export function runPolicyCommand(context: CommandContext): Command {
  return new Command('run')
    .description('plan what a policy says, and start it when nothing asks for an approval')
    .argument('<policy>', 'its name')
    .option('--wait', 'until its run has ended or needs somebody; exit code 0 when it has succeeded')
    .option('--key <key>', 'the same key gives the same plan and run, for jobs that are tried again')
    .action((name: string, options: Options, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const idempotencyKey = options.key ?? randomUUID();
        const { runPolicy } = await client.request(RunPolicyDocument, { name, idempotencyKey, waitMs: 0 });
        if (runPolicy.run == null) tellPlan(context, options, runPolicy.plan);
        else await tellRun(context, client, options, runPolicy.run.id);
      }),
    );
}

async function tellRun(
  context: CommandContext,
  client: ApiClient,
  options: Options,
  id: string,
): Promise<void> {
  if (options.wait) return watchToEnd(context, client, id, { json: options.json });
  context.print(options.json ? JSON.stringify({ run: id }) : `The run ${id} was started.`);
}

/** Why there is no run: somebody has to approve, or something has to be mended. */
function tellPlan(context: CommandContext, options: Options, plan: PlanReportFragment): void {
  process.exitCode = EXIT_BY_STATE[plan.state] ?? EXIT.failed;
  if (options.json) return context.print(JSON.stringify({ plan }));
  const words =
    plan.state === 'NEEDS_APPROVAL' ? ', and starts by itself once somebody else approves it' : '';
  context.print(`The plan ${plan.id} is ${plan.state}${words}.`);
  for (const { code, message, hint } of plan.blockers)
    context.print(`${code}: ${message} ${hint ?? ''}`.trimEnd());
}

const EXIT_BY_STATE: Partial<Record<PlanReportFragment['state'], number>> = {
  NEEDS_APPROVAL: EXIT.waits,
  APPROVED: EXIT.waits,
  BLOCKED: EXIT.blocked,
};
