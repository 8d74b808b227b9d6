import type { ArchiveContent, DatabaseIdentity } from '../domain/plan.ts';
import { listSegments } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { type ArchiveStore, manifestLocation } from './archive-store.ts';

export interface ManifestSubject {
  readonly runId: string;
  readonly planHash: string;
  readonly identity: DatabaseIdentity;
  readonly schema: string;
  readonly table: string;
  readonly format: string;
  readonly content: ArchiveContent;
}

/** What makes the segments readable when the target is gone; derived from the ledger, so it can be made again. */
export async function writeManifest(
  store: ArchiveStore,
  session: Session,
  subject: ManifestSubject,
): Promise<void> {
  const segments = (await listSegments(session, subject.runId)).filter(({ sealed }) => sealed);
  const manifest = {
    version: 1,
    run: subject.runId,
    planHash: subject.planHash,
    database: subject.identity,
    schema: subject.schema,
    table: subject.table,
    format: subject.format,
    ...(subject.content.encryption && { encryption: subject.content.encryption }),
    columns: subject.content.columns.map(({ name, type }) => ({ name, type })),
    rows: segments.reduce((sum, { rows }) => sum + rows, 0),
    segments: segments.map(({ sequence, location, rows, bytes, sha256 }) => ({
      sequence,
      location,
      rows,
      bytes,
      sha256,
    })),
  };
  await store.replace(manifestLocation(subject.runId), `${JSON.stringify(manifest, null, 2)}\n`);
}
