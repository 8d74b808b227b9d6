import { randomUUID } from 'node:crypto';
import { claimableRuns, claimRun, interruptLost, nextLeaseEnd, settlePauses } from '../store/leases.ts';
import type { Queue } from '../store/queue.ts';
import { type EngineDeps, executeRun } from './execute-run.ts';

export interface WorkerDeps extends EngineDeps {
  readonly queue: Queue;
  /** how many runs this process works on at once */
  readonly concurrency: number;
}

export interface Worker {
  /** Lets each run finish its batch, gives the leases back and returns. */
  stop(): Promise<void>;
}

/** A nudge from the queue is quick; looking by ourselves makes up for every nudge that is lost, and finds lost workers. */
const LOOK_MS = 2_000;

/** A look is due so long after a lease has run out, not only when it would be anyway: a lost worker's run waits no longer. */
const AFTER_LEASE_MS = 50;

export async function startWorker(deps: WorkerDeps): Promise<Worker> {
  const stopping = new AbortController();
  const turns = new Set<Promise<void>>();
  const take = async (runId: string): Promise<void> => {
    if (stopping.signal.aborted || turns.size >= deps.concurrency) return;
    const claim = await claimRun(deps.store, runId, `${process.pid}-${randomUUID()}`, deps.times.leaseMs);
    if (!claim) return;
    const turn = executeRun(deps, claim, stopping.signal).catch((error: unknown) => {
      // Even the state could not be written: the lease runs out and another worker takes over.
      deps.log.error({ err: error, run: runId }, 'a turn ended without a word in the control store');
    });
    turns.add(turn);
    void turn.finally(() => turns.delete(turn));
  };
  const looking = lookAround(deps, stopping.signal, take);
  await deps.queue.listen(take);
  return {
    stop: async () => {
      stopping.abort();
      await looking;
      await Promise.all(turns);
    },
  };
}

async function lookAround(
  deps: WorkerDeps,
  stopping: AbortSignal,
  take: (runId: string) => Promise<void>,
): Promise<void> {
  const usualMs = Math.min(LOOK_MS, deps.times.heartbeatMs);
  while (!stopping.aborted) {
    let leaseEndsIn: number | null = null;
    try {
      await interruptLost(deps.store);
      await settlePauses(deps.store);
      for (const runId of await claimableRuns(deps.store)) await take(runId);
      leaseEndsIn = await nextLeaseEnd(deps.store);
    } catch (error) {
      deps.log.warn({ err: error }, 'the control store does not answer; looking again soon');
    }
    const soonestMs = Math.max(0, leaseEndsIn ?? usualMs) + AFTER_LEASE_MS;
    await deps.clock.sleep(Math.min(usualMs, soonestMs), stopping);
  }
}
