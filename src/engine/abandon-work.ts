import { Stop } from '../domain/stop.ts';
import type { Operation, OperationContext } from '../operations/define-operation.ts';
import { batchEntry, readPosition, underFence } from '../target/ledger.ts';
import type { Ending } from './endings.ts';
import { stopFor } from './retry.ts';

/** Before a run ends that has not done all: nothing that it has begun is left half way. */
export async function abandonWork(
  { abandon }: Operation,
  context: OperationContext,
  fence: number,
): Promise<void> {
  if (!abandon) return;
  const { session, runId } = context;
  const at = await session.transaction(() => readPosition(session, runId, fence));
  await abandon({ ...context, cursor: at.cursor as OperationContext['cursor'] }, (work) =>
    underFence(session, runId, fence, async () => {
      const cursor = await work();
      if (cursor !== null) await session.script(batchEntry(runId, at, { rows: 0, cursor, frame: null }, 0));
    }),
  );
}

/** The same for a run that has failed; what cannot be put right is told behind what it failed with. */
export async function abandonFailed(ending: Ending, work: () => Promise<void>): Promise<Ending> {
  try {
    await work();
    return ending;
  } catch (error) {
    const stop = stopFor(error);
    if (!(stop instanceof Stop)) throw error;
    return { ...ending, reason: `${ending.reason ?? ''} ${stop.message}` };
  }
}
