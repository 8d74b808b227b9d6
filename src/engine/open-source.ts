import { readFileArchive } from '../archive/read-archive.ts';
import { verifyTable } from '../archive/verify-archive.ts';
import type { PlanSpec } from '../domain/plan.ts';
import type { SourceArchive } from '../archive/source-archive.ts';
import { Stop } from '../domain/stop.ts';
import { allSegments, type ArchiveView, findArchiveById } from '../store/archives.ts';
import type { Session } from '../target/session.ts';
import type { EngineDeps } from './execute-run.ts';

/** The archive that a restore reads, checked whole; null for every other operation. */
export async function openSource(
  deps: EngineDeps,
  plan: PlanSpec,
  session: Session,
): Promise<SourceArchive | null> {
  const { operation } = plan;
  if (operation.kind !== 'RESTORE') return null;
  const archive = await findArchiveById(deps.store, operation.archiveId);
  if (!archive) throw new Stop('ARCHIVE_DAMAGED', 'The archive is not there any more.', 'FAILED');
  const segments = await allSegments(deps.store, archive.id);
  if (archive.kind === 'TABLE') return openTable(session, archive, segments);
  const store = deps.fileStores.get(archive.store ?? '');
  if (store) return readFileArchive(store, segments, archive.content);
  throw new Stop(
    'ARCHIVE_STORE',
    `This worker has no archive store named "${archive.store ?? ''}". Configure it, then resume.`,
  );
}

async function openTable(
  session: Session,
  archive: ArchiveView,
  segments: Awaited<ReturnType<typeof allSegments>>,
): Promise<SourceArchive> {
  const { problems } = await verifyTable(session, archive, segments);
  const problem = problems[0];
  if (problem) throw new Stop('ARCHIVE_DAMAGED', `${problem.message} Nothing was restored.`, 'FAILED');
  return { content: archive.content, frames: [] };
}
