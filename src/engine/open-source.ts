import { readArchiveTable } from '../archive/read-archive-table.ts';
import { readStoredArchive } from '../archive/read-archive.ts';
import { segmentFormats } from '../archive/segment-formats.ts';
import type { SourceArchive } from '../archive/source-archive.ts';
import { verifyTable } from '../archive/verify-archive.ts';
import type { PlanSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { allSegments, type ArchiveView, findArchiveById } from '../store/archives.ts';
import { EndingWanted, endingAsked } from './endings.ts';
import type { EngineDeps } from './execute-run.ts';
import { type Watched, Watchdog } from './watchdog.ts';

/**
 * The archive that a restore reads, checked whole; null for every other operation.
 * @throws EndingWanted when somebody asks for an end while it is checked, which may take minutes
 */
export async function openSource(
  deps: EngineDeps,
  plan: PlanSpec,
  run: Watched,
): Promise<SourceArchive | null> {
  const { operation } = plan;
  if (operation.kind !== 'RESTORE') return null;
  const archive = await findArchiveById(deps.store, operation.archiveId);
  if (!archive) throw new Stop('ARCHIVE_DAMAGED', 'The archive is not there any more.', 'FAILED');
  if (archive.state !== 'KEPT')
    throw new Stop(
      'ARCHIVE_EXPIRED',
      'The archive is being destroyed, or has been. Nothing was restored.',
      'FAILED',
    );
  const segments = await allSegments(deps.store, archive.id);
  if (archive.kind === 'TABLE') return openTable(run, archive, segments);
  const store = deps.archiveStores.get(archive.store ?? '');
  if (store) {
    const formatOf = segmentFormats(archive, deps.archiveKeys);
    return readStoredArchive({ store, formatOf }, segments, archive.content, () => leaveWhenAsked(run));
  }
  throw new Stop(
    'ARCHIVE_STORE',
    `This worker has no archive store named "${archive.store ?? ''}". Configure it, then resume.`,
  );
}

function leaveWhenAsked(run: Watched): void {
  const ending = endingAsked(run);
  if (ending) throw new EndingWanted(ending);
}

async function openTable(
  run: Watched,
  archive: ArchiveView,
  segments: Awaited<ReturnType<typeof allSegments>>,
): Promise<SourceArchive> {
  const { problems } = await watched(run, () => verifyTable(run.session, archive, segments));
  const problem = problems[0];
  if (problem) throw new Stop('ARCHIVE_DAMAGED', `${problem.message} Nothing was restored.`, 'FAILED');
  return watched(run, () => readArchiveTable(run.session, archive.content));
}

async function watched<T>(run: Watched, work: () => Promise<T>): Promise<T> {
  leaveWhenAsked(run);
  const watchdog = new Watchdog(run);
  try {
    return await watchdog.during(work);
  } catch (error) {
    const verdict = watchdog.verdictOn(error);
    throw verdict === null || verdict.state === 'AGAIN' ? error : new EndingWanted(verdict);
  }
}
