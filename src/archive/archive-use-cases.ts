import type { Clock } from '../clock.ts';
import type { Principal } from '../domain/principal.ts';
import { DeclutterError, notFound } from '../errors.ts';
import {
  allSegments,
  type ArchiveView,
  findArchiveById,
  findArchiveByRun,
  listArchives,
  listArchiveSegments,
  markVerified,
} from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import { READ_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import type { FileStore } from './file-store.ts';
import { type ArchiveVerification, verifyFiles, verifyTable } from './verify-archive.ts';

export interface ArchiveDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly connect: (databaseId: string, settings: SessionSettings) => Promise<Session>;
  readonly fileStores: ReadonlyMap<string, FileStore>;
}

/** What the API offers about archives. */
export function makeArchiveUseCases(deps: ArchiveDeps) {
  const { store } = deps;
  return {
    find: (id: string) => findArchiveById(store, id),
    findByRun: (runId: string) => findArchiveByRun(store, runId),
    list: (filter: Parameters<typeof listArchives>[1]) => listArchives(store, filter),
    segments: (id: string, page: Parameters<typeof listArchiveSegments>[2]) =>
      listArchiveSegments(store, id, page),
    async verify(id: string, _by: Principal): Promise<ArchiveVerification> {
      const archive = await findArchiveById(store, id);
      if (!archive) throw notFound('The archive');
      const verification = await verify(deps, archive);
      if (verification.ok) await markVerified(store, id, deps.clock.now());
      return verification;
    },
  };
}

async function verify(deps: ArchiveDeps, archive: ArchiveView): Promise<ArchiveVerification> {
  const segments = await allSegments(deps.store, archive.id);
  if (archive.kind === 'TABLE') {
    const session = await deps.connect(archive.databaseId, {
      ...READ_SETTINGS,
      applicationName: 'declutter/verify',
    });
    return verifyTable(session, archive, segments).finally(() => session.close());
  }
  const files = deps.fileStores.get(archive.store ?? '');
  if (!files)
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      `This server has no archive store named "${archive.store ?? ''}".`,
    );
  return verifyFiles(files, segments);
}
