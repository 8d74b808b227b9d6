import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { thinHistory } from '../store/history.ts';
import type { Store } from '../store/open-store.ts';
import { retrySnapshot, takeSnapshotTurn, type Turn } from '../store/snapshot-turns.ts';

export interface SnapshotDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  readonly takeSnapshot: (databaseId: string) => Promise<unknown>;
  /** how often to look whether one is due */
  readonly lookMs?: number;
}

export interface SnapshotRounds {
  stop(): Promise<void>;
}

const LOOK_MS = 10_000;
/** A database that does not answer holds up one of these; the others go on. */
const LANES = 2;
/** A database that gave no snapshot is asked again after this, or after everyMs when that is shorter. */
const RETRY_MS = 600_000;
/** A snapshot under way is given up at the end: it changes nothing, and another worker takes the next one. */
const STOP_MS = 1_000;

/** Takes the snapshots that are due, for as long as the process lives; many processes share the work. */
export function startSnapshotRounds(deps: SnapshotDeps): SnapshotRounds {
  const stopping = new AbortController();
  const lanes = Array.from({ length: LANES }, () => lookAround(deps, stopping.signal));
  return {
    stop: async () => {
      stopping.abort();
      await Promise.race([Promise.all(lanes), deps.clock.sleep(STOP_MS)]);
    },
  };
}

async function lookAround(deps: SnapshotDeps, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted) {
    try {
      let turn = await takeSnapshotTurn(deps.store, deps.everyMs);
      for (; turn !== null; turn = stopping.aborted ? null : await takeSnapshotTurn(deps.store, deps.everyMs))
        await useTurn(deps, turn);
    } catch (error) {
      if (!stopping.aborted)
        deps.log.warn({ err: error }, 'the control store does not answer; snapshots wait until it does');
    }
    await deps.clock.sleep(deps.lookMs ?? LOOK_MS, stopping);
  }
}

/** What keeps one database from answering concerns none of the others. */
async function useTurn(deps: SnapshotDeps, { id, name }: Turn): Promise<void> {
  try {
    await deps.takeSnapshot(id);
  } catch (error) {
    deps.log.warn({ err: error, database: name }, 'no snapshot could be taken; it is tried again later');
    await retrySnapshot(deps.store, id, Math.min(RETRY_MS, deps.everyMs));
    return;
  }
  await thinHistory(deps.store, id);
}
