import { type DoomedArchive, writeTombstone } from '../archive/doomed-archive.ts';
import { holdersOf } from '../domain/archive-tables.ts';
import { Stop } from '../domain/stop.ts';
import { activeRestores, claimForExpiry, keepAfterAll, markExpired } from '../store/archive-expiry.ts';
import {
  allSegments,
  type ArchiveSegmentView,
  type ArchiveView,
  findArchiveById,
} from '../store/archives.ts';
import type { LedgerPosition } from '../target/ledger.ts';
import type { EngineDeps, Turn } from './execute-run.ts';

/**
 * The archive that an expiry destroys, for this run alone; null for every other operation. A restore that begins sees that it is
 * no longer kept, and one that had begun before is seen here.
 */
export async function openDoomed(
  deps: EngineDeps,
  { claim, plan }: Turn,
  position: LedgerPosition,
): Promise<DoomedArchive | null> {
  const { operation } = plan.spec;
  if (operation.kind !== 'ARCHIVE_EXPIRY') return null;
  const { archiveId } = operation;
  if (!(await claimForExpiry(deps.store, archiveId, claim.runId)))
    throw new Stop(
      'CONFLICT',
      'Another run destroys this archive, or has done so. Cancel this one.',
      'FAILED',
    );
  const archive = await findArchiveById(deps.store, archiveId);
  if (!archive) throw new Stop('ARCHIVE_DAMAGED', 'The archive is not there any more.', 'FAILED');
  const [restore] = await activeRestores(deps.store, archiveId);
  if (restore !== undefined) {
    if (position.number === 0) await keepAfterAll(deps.store, archiveId, claim.runId);
    throw new Stop(
      'ARCHIVE_IN_USE',
      `The run ${restore} restores rows of this archive and has not ended. Resume when it has, or cancel.`,
    );
  }
  const segments = await allSegments(deps.store, archiveId);
  return archive.kind === 'TABLE'
    ? { segments: [], holders: holdersOf(archive.content), destroy: () => Promise.resolve() }
    : openStored(deps, claim.runId, archive, segments);
}

/** Once nothing of the archive is left, and that has committed. A worker that dies before finds nothing to destroy, and says so again. */
export async function endExpiry(deps: EngineDeps, { claim, plan }: Turn): Promise<void> {
  const { operation } = plan.spec;
  if (operation.kind !== 'ARCHIVE_EXPIRY') return;
  await markExpired(deps.store, operation.archiveId, claim.runId, deps.clock.now());
}

async function openStored(
  deps: EngineDeps,
  runId: string,
  archive: ArchiveView,
  segments: readonly ArchiveSegmentView[],
): Promise<DoomedArchive> {
  const store = deps.archiveStores.get(archive.store ?? '');
  if (!store)
    throw new Stop(
      'ARCHIVE_STORE',
      `This worker has no archive store named "${archive.store ?? ''}". Configure it, then resume.`,
    );
  await writeTombstone(store, {
    run: archive.runId,
    schema: archive.schema,
    table: archive.table,
    rows: archive.rows,
    expired: { at: deps.clock.now().toISOString(), run: runId },
    segments: segments.map(({ sequence, location, rows, bytes, sha256 }) => ({
      sequence,
      location,
      rows,
      bytes,
      sha256,
    })),
  });
  return { segments, holders: [], destroy: ({ location }) => store.remove(location) };
}
