import { readFileArchive } from '../archive/read-archive.ts';
import type { PlanSpec } from '../domain/plan.ts';
import { type SourceArchive, Stop } from '../operations/define-operation.ts';
import { findArchiveById } from '../store/archives.ts';
import type { Session } from '../target/session.ts';
import type { EngineDeps } from './execute-run.ts';

/** The archive that a restore reads, checked; null for every other operation. */
export async function openSource(
  deps: EngineDeps,
  plan: PlanSpec,
  session: Session,
): Promise<SourceArchive | null> {
  const { operation } = plan;
  if (operation.kind !== 'RESTORE') return null;
  const archive = await findArchiveById(deps.store, operation.archiveId);
  if (!archive) throw new Stop('ARCHIVE_DAMAGED', 'The archive is not there any more.', 'FAILED');
  if (archive.content.holder) return { content: archive.content, frames: [] };
  const store = deps.fileStores.get(archive.store ?? '');
  if (!store)
    throw new Stop(
      'ARCHIVE_STORE',
      `This worker has no archive store named "${archive.store ?? ''}". Configure it, then resume.`,
    );
  return readFileArchive(store, session, operation.sourceRunId, archive.content);
}
