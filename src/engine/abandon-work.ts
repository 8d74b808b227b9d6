import { Stop } from '../domain/stop.ts';
import type { Operation, OperationContext } from '../operations/define-operation.ts';
import { batchEntry, readPosition } from '../target/ledger.ts';
import { underFence } from '../target/ledger-segments.ts';
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

/** The ending of a run, once work has put right what it leaves; what cannot be is told behind what a run has failed with. */
export async function endedBy(ending: Ending, work: () => Promise<void>): Promise<Ending> {
  if (ending.state !== 'CANCELLED' && ending.state !== 'FAILED') return ending;
  try {
    await work();
    return ending;
  } catch (error) {
    const stop = stopFor(error);
    if (ending.state === 'CANCELLED' || !(stop instanceof Stop)) throw error;
    return { ...ending, reason: `${ending.reason ?? ''} ${stop.message}` };
  }
}
