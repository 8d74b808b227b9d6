import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { type ArchiveStore, manifestLocation } from './archive-store.ts';

/** Where files go that no ledger row speaks of: kept for people to look at, never deleted by a run. */
const ORPHANS = 'orphans';

/** Moves everything of the run that the ledger does not know to orphans/. */
export async function moveOrphans(
  store: ArchiveStore,
  runId: string,
  known: ReadonlySet<string>,
): Promise<void> {
  for (const location of await store.list(runId)) {
    if (known.has(location) || location === manifestLocation(runId)) continue;
    await store.move(location, `${ORPHANS}/${runId}-${randomUUID()}-${path.posix.basename(location)}`);
  }
}

/** Where something of the run went that had this location. */
export async function findOrphan(
  store: ArchiveStore,
  runId: string,
  location: string,
): Promise<string | undefined> {
  const name = path.posix.basename(location);
  return (await store.list(ORPHANS)).find(
    (orphan) => orphan.startsWith(`${ORPHANS}/${runId}-`) && orphan.endsWith(`-${name}`),
  );
}
