import type { Clock } from '../clock.ts';
import type { Principal } from '../domain/principal.ts';
import { DeclutterError, notFound } from '../errors.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import {
  allSegments,
  type ArchiveSegmentView,
  type ArchiveView,
  findArchiveById,
  findArchiveByRun,
  listArchives,
  listArchiveSegments,
  listArchiveTables,
} from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import { requireRun } from '../store/runs.ts';
import { recordVerification } from '../store/verification-turns.ts';
import { READ_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import type { ArchiveKeys } from './archive-keys.ts';
import type { ArchiveStore } from './archive-store.ts';
import type { FormatOf } from './segment-format.ts';
import { segmentFormats } from './segment-formats.ts';
import { unreadRows } from './unread-rows.ts';
import { type ArchiveVerification, verifyFiles, verifyTable } from './verify-archive.ts';

export interface ArchiveDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly connect: (databaseId: string, settings: SessionSettings) => Promise<Session>;
  readonly archiveStores: ReadonlyMap<string, ArchiveStore>;
  readonly archiveKeys: ArchiveKeys;
}

/** What the API offers about archives. */
export function makeArchiveUseCases(deps: ArchiveDeps) {
  const { store } = deps;
  return {
    find: (id: string) => findArchiveById(store, id),
    findByRun: (runId: string) => findArchiveByRun(store, runId),
    list: (filter: Parameters<typeof listArchives>[1]) => listArchives(store, filter),
    tables: async (id: string) => {
      const archive = await findArchiveById(store, id);
      return archive === null ? [] : listArchiveTables(store, archive);
    },
    segments: (id: string, page: Parameters<typeof listArchiveSegments>[2]) =>
      listArchiveSegments(store, id, page),
    async verify(id: string, _by: Principal): Promise<ArchiveVerification> {
      const archive = await findArchiveById(store, id);
      if (!archive) throw notFound('The archive');
      if (archive.state !== 'KEPT')
        throw new DeclutterError(
          'PRECONDITION_FAILED',
          `The archive is ${archive.state}: its segments are being destroyed, or have been.`,
        );
      return verifyArchive(deps, archive);
    },
  };
}

/** Reads an archive back, whole, and writes down what that has shown. */
export async function verifyArchive(deps: ArchiveDeps, archive: ArchiveView): Promise<ArchiveVerification> {
  const verification = await verify(deps, archive);
  await recordVerification(deps.store, archive.id, deps.clock.now(), verification.problems);
  return verification;
}

/** Reads all that is listed, and names what is not: an archive is good only when both are fine. */
async function verify(deps: ArchiveDeps, archive: ArchiveView): Promise<ArchiveVerification> {
  const segments = await allSegments(deps.store, archive.id);
  const run = await requireRun(deps.store, archive.runId);
  const unread = (session: Session | null) => unreadRows(session, archive, segments, run);
  if (archive.kind === 'TABLE') return verifyTableWhole(deps, archive, segments, unread);
  const kept = deps.archiveStores.get(archive.store ?? '');
  if (!kept)
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      `This server has no archive store named "${archive.store ?? ''}".`,
    );
  const problems = await withSession(deps, archive, unread).catch((error: unknown) => {
    // Segments can be read while their database is away; the run's own count has to do then.
    if (error instanceof DeclutterError) return unread(null);
    throw error;
  });
  const format = formatOrProblem(archive, deps.archiveKeys);
  return 'code' in format
    ? withProblems(await verifyFiles(kept, null, segments), [format, ...problems])
    : withProblems(await verifyFiles(kept, format, segments), problems);
}

/** Without the key the checksums can still be compared, and rows not be read. */
function formatOrProblem(archive: ArchiveView, keys: ArchiveKeys): FormatOf | PlanNotice {
  try {
    return segmentFormats(archive, keys);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    const hint = 'Verify the archive again where the key is configured.';
    return { code: 'KEY_MISSING', message: error.message, hint };
  }
}

async function verifyTableWhole(
  deps: ArchiveDeps,
  archive: ArchiveView,
  segments: readonly ArchiveSegmentView[],
  unread: (session: Session) => Promise<PlanNotice[]>,
): Promise<ArchiveVerification> {
  return withSession(deps, archive, async (session) => {
    const problems = await unread(session);
    // A table that still grows has no checksum to compare with.
    const read = problems.length > 0 ? NOTHING_READ : await verifyTable(session, archive, segments);
    return withProblems(read, problems);
  });
}

const NOTHING_READ: ArchiveVerification = { ok: false, segmentsChecked: 0, rowsChecked: 0, problems: [] };

const withProblems = (read: ArchiveVerification, more: readonly PlanNotice[]): ArchiveVerification => ({
  ...read,
  ok: read.ok && more.length === 0,
  problems: [...read.problems, ...more],
});

async function withSession<T>(
  deps: ArchiveDeps,
  { databaseId }: ArchiveView,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await deps.connect(databaseId, { ...READ_SETTINGS, applicationName: 'declutter/verify' });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}
