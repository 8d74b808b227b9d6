import { thinHistory } from '../store/history.ts';
import type { Store } from '../store/open-store.ts';
import { retrySnapshot, takeSnapshotTurn, type Turn } from '../store/snapshot-turns.ts';
import { type Rounds, type RoundsDeps, startRounds } from './rounds.ts';

export interface SnapshotDeps extends RoundsDeps {
  readonly store: Store;
  readonly everyMs: number;
  readonly takeSnapshot: (databaseId: string) => Promise<unknown>;
}

/** A database that does not answer holds up one of these; the others go on. */
const LANES = 2;
/** A database that gave no snapshot is asked again after this, or after everyMs when that is shorter. */
const RETRY_MS = 600_000;

/** Takes the snapshots that are due, for as long as the process lives; many processes share the work. */
export const startSnapshotRounds = (deps: SnapshotDeps): Rounds =>
  startRounds(deps, {
    name: 'snapshots',
    lanes: LANES,
    take: () => takeSnapshotTurn(deps.store, deps.everyMs),
    use: (turn) => useTurn(deps, turn),
  });

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
