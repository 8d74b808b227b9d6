import type { ArchiveKeys } from '../archive/archive-keys.ts';
import type { ArchiveStore } from '../archive/archive-store.ts';
import { writeManifest } from '../archive/manifest.ts';
import { openSegments } from '../archive/open-segments.ts';
import { segmentFormats } from '../archive/segment-formats.ts';
import type { SegmentArchive } from '../archive/segment-archive.ts';
import { type ArchiveDestination, destinationOf } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { SegmentSink } from '../archive/segment-sink.ts';
import { Stop } from '../domain/stop.ts';
import type { ArchiveFormat } from '../domain/words.ts';
import { failpoint } from '../failpoint.ts';
import { ensureArchive, findArchiveByRun, recordSegments, tableChecksum } from '../store/archives.ts';
import type { Relation } from '../target/catalog.ts';
import {
  archivedTotals,
  listBatches,
  listSegments,
  underFence,
  writeSegment,
} from '../target/ledger-segments.ts';
import type { Session } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { archiveContent } from './archive-content.ts';
import type { BatchResult } from './batch.ts';
import type { EngineDeps, Turn } from './execute-run.ts';

interface Opening {
  readonly deps: EngineDeps;
  readonly turn: Turn;
  readonly session: Session;
  readonly relation: Relation | null;
  readonly fence: number;
}

/** Segments in a store of the configuration. */
interface Kept {
  readonly archive: SegmentArchive;
  readonly store: ArchiveStore;
  readonly format: ArchiveFormat;
}

/** The archive of a run that makes one: its segments in a store, or its table in the same database. */
export class RunArchive {
  readonly content: ArchiveContent;
  readonly #opening: Opening;
  readonly #kept: Kept | null;
  #milestones = 0;

  private constructor(opening: Opening, content: ArchiveContent, kept: Kept | null) {
    this.#opening = opening;
    this.content = content;
    this.#kept = kept;
  }

  /** Null for operations that archive nothing. */
  static async open(opening: Opening): Promise<RunArchive | null> {
    const destination = destinationOf(opening.turn.plan.spec.operation);
    if (destination === null) return null;
    const content = await contentFor(opening, destination);
    if (!content) return null;
    const archive = new RunArchive(opening, content, await openKept(opening, destination, content));
    await archive.#record();
    return archive;
  }

  get sink(): SegmentSink | null {
    return this.#kept?.archive ?? null;
  }

  /** After the COMMIT of the batch. */
  async confirm({ frame, rows, parts }: Pick<BatchResult, 'frame' | 'rows' | 'parts'>): Promise<void> {
    if (!this.#kept) return;
    const alongInOwn = parts.find(({ part }) => part === 0)?.rows ?? 0;
    if (frame) await this.#kept.archive.confirm(frame, rows + alongInOwn);
    for (const part of parts) if (part.frame) await this.#kept.archive.confirm(part.frame, part.rows);
    if (this.#kept.archive.milestones === this.#milestones) return;
    this.#milestones = this.#kept.archive.milestones;
    await this.#record();
  }

  /** At every orderly end, a pause too: what is archived is sealed, listed and readable. */
  async finish(): Promise<void> {
    if (this.#kept) await this.#kept.archive.finish();
    else await this.#sealTables();
    await this.#record();
  }

  async close(): Promise<void> {
    await this.#kept?.archive.close();
  }

  /** Each table of a run is a segment, in the order of the parts. */
  async #sealTables(): Promise<void> {
    const parts = [{ number: 0, holder: this.content.holder }, ...(this.content.parts ?? [])];
    for (const [i, { number, holder }] of parts.entries())
      if (holder) await this.#sealTable(i + 1, number, holder);
  }

  async #sealTable(
    sequence: number,
    part: number,
    holder: { readonly schema: string; readonly name: string },
  ): Promise<void> {
    const { session, turn, fence } = this.#opening;
    const { runId } = turn.claim;
    const { rows, rowHash } = await archivedTotals(session, runId, part);
    if (rows === 0) return;
    const name = toText(ident(holder.schema, holder.name));
    const { bytes } = await session.one<{ bytes: string }>(
      sql`SELECT pg_catalog.pg_total_relation_size(${name}::pg_catalog.regclass)::pg_catalog.text AS bytes`,
    );
    const segment = {
      sequence,
      location: name,
      sealed: true,
      rows,
      bytes: Number(bytes),
      sha256: tableChecksum(rows, rowHash),
    };
    await underFence(session, runId, fence, () => writeSegment(session, runId, fence, segment));
  }

  /** Shows people what the ledger lists. */
  async #record(): Promise<void> {
    const { deps, turn, session } = this.#opening;
    const { runId } = turn.claim;
    const sealed = (await listSegments(session, runId)).filter((segment) => segment.sealed);
    // What parts of one batch belong together shows in the numbers of the batches; one part alone needs none.
    const hasParts = (this.content.parts ?? []).length > 0;
    const batches = hasParts ? await listBatches(session, runId) : null;
    const segments = sealed.map(({ sequence, part = 0, location, rows, bytes, sha256 }) => ({
      sequence,
      part,
      batches: batches?.get(sequence) ?? null,
      location,
      rows,
      bytes,
      sha256: sha256 ?? '',
    }));
    failpoint('archive.listing');
    await recordSegments(deps.store, runId, segments);
    const { spec, hash } = turn.plan;
    const [subject] = spec.relations;
    if (!this.#kept || !subject) return;
    await writeManifest(this.#kept.store, session, {
      runId,
      planHash: hash,
      identity: spec.identity,
      schema: subject.schema,
      table: subject.name,
      format: this.#kept.format,
      content: this.content,
    });
  }
}

/** As registered by the first worker; the table may be gone by the time a later one makes the archive safe. */
async function contentFor(opening: Opening, destination: ArchiveDestination): Promise<ArchiveContent | null> {
  const { deps, turn, relation } = opening;
  const known = await findArchiveByRun(deps.store, turn.claim.runId);
  if (known || !relation) return known?.content ?? null;
  const { session } = opening;
  const made = await archiveContent({
    session,
    plan: turn.plan.spec,
    relation,
    destination,
    runId: turn.claim.runId,
  });
  const content = { ...made, ...encryptionBy(destination, deps.archiveKeys) };
  await register(opening, destination, content);
  return content;
}

async function openKept(
  { deps, turn, session, fence }: Opening,
  destination: ArchiveDestination,
  content: ArchiveContent,
): Promise<Kept | null> {
  if (destination.kind === 'TABLE') return null;
  const store = deps.archiveStores.get(destination.store);
  if (store?.kind !== destination.kind)
    throw new Stop(
      'ARCHIVE_STORE',
      `This worker has no archive store named "${destination.store}". Configure it, then resume.`,
    );
  const { runId } = turn.claim;
  const { format } = destination;
  const formatOf = segmentFormats({ runId, format, content }, deps.archiveKeys);
  return { store, format, archive: await openSegments(store, session, { runId, fence }, formatOf) };
}

async function register(
  { deps, turn, relation }: Opening,
  destination: ArchiveDestination,
  content: ArchiveContent,
): Promise<void> {
  await ensureArchive(deps.store, {
    runId: turn.claim.runId,
    databaseId: turn.claim.databaseId,
    schema: relation?.schema ?? '',
    table: relation?.name ?? '',
    kind: destination.kind,
    format: destination.kind === 'TABLE' ? null : destination.format,
    store: destination.kind === 'TABLE' ? null : destination.store,
    content,
  });
}

/** An archive keeps the key that it began with. */
const encryptionBy = (
  { kind }: ArchiveDestination,
  [key]: ArchiveKeys,
): Pick<ArchiveContent, 'encryption'> =>
  key && kind !== 'TABLE' ? { encryption: { cipher: 'AES-256-GCM', keyId: key.id } } : {};
