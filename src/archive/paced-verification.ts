import { DeclutterError, notFound } from '../errors.ts';
import { findArchiveById } from '../store/archives.ts';
import { type ArchiveDeps, verifyArchive } from './archive-use-cases.ts';
import { pacedStore } from './paced-store.ts';
import type { ArchiveVerification } from './verify-archive.ts';

/**
 * Reads an archive back as verifyArchive does, no faster than so many bytes a second.
 * @throws where its store does not answer: an archive that nobody can get at now is not damaged
 */
export async function pacedVerification(
  deps: ArchiveDeps,
  archiveId: string,
  bytesPerSecond: number,
): Promise<ArchiveVerification> {
  const archive = await findArchiveById(deps.store, archiveId);
  if (!archive) throw notFound('The archive');
  const store = archive.store === null ? undefined : deps.archiveStores.get(archive.store);
  const trouble = await store?.trouble();
  if (trouble) throw new DeclutterError('PRECONDITION_FAILED', trouble);
  const paced =
    store === undefined ? [] : ([[store.name, pacedStore(store, bytesPerSecond, deps.clock)]] as const);
  return verifyArchive({ ...deps, archiveStores: new Map(paced) }, archive);
}
