import { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import type { CommandContext } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { reported } from './reported.ts';
import { type RunEvent, type RunReport, runEvents, waitForRun } from './follow-run.ts';
import { bytes, count, instant } from './format.ts';
import { type Progress, runProgress } from './progress.ts';

const POLL_MS = 1_000;

export function watchCommand(context: CommandContext): Command {
  return new Command('watch')
    .description('follow a run until it has ended or needs somebody; exit code 0 when it has succeeded')
    .argument('<run>', 'the id of the run')
    .option('--after <sequence>', 'events behind this one only', Number)
    .action((id: string, options: { after?: number; json?: true }, command: Command) =>
      reported(async () => {
        await watchToEnd(context, await context.connect(command), id, options);
      }),
    );
}

/** Shows how it goes and what came of it, and sets the exit code. */
export async function watchToEnd(
  context: Pick<CommandContext, 'print'>,
  client: ApiClient,
  id: string,
  options: { readonly after?: number | undefined; readonly json?: true | undefined },
): Promise<void> {
  const progress = runProgress(process.stderr);
  const onEvent = (event: RunEvent) => {
    if (options.json) context.print(JSON.stringify(event));
    else if (event.kind !== 'PROGRESS') progress.note(eventLine(event)); // the bar shows how far it is
  };
  const run = await watchRun(client, id, options.after ?? null, { progress, onEvent });
  context.print(options.json ? JSON.stringify(run) : runSummary(run));
  if (run.state !== 'SUCCEEDED') process.exitCode = run.state === 'PAUSED' ? EXIT.waits : EXIT.failed;
}

interface Watchers {
  readonly progress: Progress;
  readonly onEvent: (event: RunEvent) => void;
}

/** Events by subscription, figures by asking; the run as it is at the end. */
export async function watchRun(
  client: ApiClient,
  id: string,
  after: number | null,
  { progress, onEvent }: Watchers,
): Promise<RunReport> {
  const stop = new AbortController();
  const events = (async () => {
    for await (const event of runEvents(client, id, after, stop.signal)) onEvent(event);
  })();
  const stopped = waitForRun(client, id, {
    onProgress: (run) => progress.update(run),
    pollMs: POLL_MS,
    signal: stop.signal,
  });
  try {
    const run = await Promise.race([stopped, events.then(() => stopped)]);
    // The last events are on their way: the stream ends by itself, unless the run only pauses.
    if (run.state !== 'PAUSED') await events;
    return run;
  } finally {
    stop.abort();
    progress.end();
  }
}

const eventLine = (event: RunEvent) => `${instant(event.at)}  ${event.kind}  ${event.message}`;

export function runSummary(run: RunReport): string {
  const { rowsDeleted, rowsArchived, rowsRestored, nextStep, ...freed } = run.result;
  const facts = [
    rowsDeleted > 0 ? `${count(rowsDeleted)} rows deleted` : '',
    rowsArchived > 0 ? `${count(rowsArchived)} archived` : '',
    rowsRestored > 0 ? `${count(rowsRestored)} restored` : '',
    freedFact(freed.bytesReclaimed, freed.bytesReclaimedPredicted, 'given back'),
    freedFact(freed.bytesReusable, freed.bytesReusablePredicted, 'free for new rows'),
  ].filter((fact) => fact !== '');
  const reason = run.stateReason == null || run.state === 'SUCCEEDED' ? '' : ` (${run.stateReason})`;
  return [`${run.state}${reason}`, ...facts].join(', ') + (nextStep == null ? '' : `\nNext: ${nextStep}`);
}

/** What came of it beside what the plan had said. */
function freedFact(
  fact: number | null | undefined,
  predicted: number | null | undefined,
  what: string,
): string {
  if (!fact && !predicted) return '';
  return `${bytes(fact)} ${what}${predicted == null ? '' : ` (${bytes(predicted)} predicted)`}`;
}
