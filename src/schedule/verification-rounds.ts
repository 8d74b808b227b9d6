import type { ArchiveVerification } from '../archive/verify-archive.ts';
import type { Store } from '../store/open-store.ts';
import { appendEvent } from '../store/run-events.ts';
import {
  retryVerification,
  takeVerificationTurn,
  type VerificationTurn,
} from '../store/verification-turns.ts';
import { type Rounds, type RoundsDeps, startRounds } from './rounds.ts';

export interface VerificationDeps extends RoundsDeps {
  readonly store: Store;
  readonly everyMs: number;
  /** Reads the archive back, at a pace that leaves room for others, and writes down what it has shown. */
  readonly verify: (archiveId: string) => Promise<ArchiveVerification>;
}

/** An archive whose store or database does not answer is tried again after this. */
const RETRY_MS = 3_600_000;

/** Reads back the archives that are due, one at a time, for as long as the process lives; many processes share the work. */
export const startVerificationRounds = (deps: VerificationDeps): Rounds =>
  startRounds(deps, {
    name: 'verifications of archives',
    lanes: 1,
    take: () => takeVerificationTurn(deps.store, deps.everyMs),
    use: (turn) => useTurn(deps, turn),
  });

async function useTurn(deps: VerificationDeps, turn: VerificationTurn): Promise<void> {
  const archive = { id: turn.id, run: turn.runId, table: `${turn.schema}.${turn.table}` };
  try {
    const { ok, problems } = await deps.verify(turn.id);
    if (ok) return;
    deps.log.error({ archive, problems }, 'an archive is not as it was written');
    await appendEvent(deps.store, turn.runId, {
      kind: 'ARCHIVE_DAMAGED',
      message: `The archive was read back, and is not as it was written: ${problems[0]?.message ?? ''}`,
      data: { problems },
    });
  } catch (error) {
    deps.log.warn({ err: error, archive }, 'an archive could not be read back; it is tried again later');
    await retryVerification(deps.store, turn.id, Math.min(RETRY_MS, deps.everyMs));
  }
}
