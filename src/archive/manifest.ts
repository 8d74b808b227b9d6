import type { DatabaseIdentity } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { LedgerSegment } from '../target/ledger-segments.ts';
import { listBatches, listSegments } from '../target/ledger-segments.ts';
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
  const { parts = [], keys = [] } = subject.content;
  const batches = parts.length > 0 ? await listBatches(session, subject.runId) : null;
  const manifest = {
    // With parts, the segments are of several tables: who does not know of that must not read them as one.
    version: parts.length > 0 ? 2 : 1,
    run: subject.runId,
    planHash: subject.planHash,
    database: subject.identity,
    schema: subject.schema,
    table: subject.table,
    format: subject.format,
    ...(subject.content.encryption && { encryption: subject.content.encryption }),
    columns: subject.content.columns.map(({ name, type }) => ({ name, type })),
    rows: rowsOf(segments, 0),
    ...(parts.length > 0 && {
      parts: parts.map(({ number, schema, table, columns, reference }) => ({
        number,
        schema,
        table,
        columns: columns.map(({ name, type }) => ({ name, type })),
        rows: rowsOf(segments, number),
        ...(reference && { reference }),
      })),
      keys,
    }),
    segments: segments.map(({ sequence, part = 0, location, rows, bytes, sha256 }) => ({
      sequence,
      ...(batches && { part, batches: batches.get(sequence) ?? [] }),
      location,
      rows,
      bytes,
      sha256,
    })),
  };
  await store.replace(manifestLocation(subject.runId), `${JSON.stringify(manifest, null, 2)}\n`);
}

const rowsOf = (segments: readonly LedgerSegment[], wanted: number): number =>
  segments.filter(({ part = 0 }) => part === wanted).reduce((sum, { rows }) => sum + rows, 0);
