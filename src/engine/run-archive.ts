import type { ArchiveStore } from '../archive/archive-store.ts';
import { writeManifest } from '../archive/manifest.ts';
import { openSegments } from '../archive/open-segments.ts';
import type { SegmentArchive } from '../archive/segment-archive.ts';
import { type ArchiveContent, type ArchiveDestination, destinationOf } from '../domain/plan.ts';
import type { Frame, SegmentSink } from '../archive/segment-sink.ts';
import { Stop } from '../domain/stop.ts';
import { failpoint } from '../failpoint.ts';
import { ensureArchive, findArchiveByRun, recordSegments, tableChecksum } from '../store/archives.ts';
import type { Relation } from '../target/catalog.ts';
import { listSegments, tableTotals, underFence, writeSegment } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
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
}

/** The archive of a run that makes one: its segments in a store, or its table in the same database. */
export class RunArchive {
  readonly holder: { readonly schema: string; readonly name: string } | null;
  readonly #opening: Opening;
  readonly #content: ArchiveContent;
  readonly #kept: Kept | null;
  #milestones = 0;

  private constructor(opening: Opening, content: ArchiveContent, kept: Kept | null) {
    this.#opening = opening;
    this.#content = content;
    this.#kept = kept;
    this.holder = content.holder;
  }

  /** Null for operations that archive nothing. */
  static async open(opening: Opening): Promise<RunArchive | null> {
    const destination = destinationOf(opening.turn.plan.spec.operation);
    if (destination === null) return null;
    const content = await contentFor(opening, destination);
    if (!content) return null;
    const archive = new RunArchive(opening, content, await openKept(opening, destination));
    await archive.#record();
    return archive;
  }

  get sink(): SegmentSink | null {
    return this.#kept?.archive ?? null;
  }

  /** After the COMMIT of the batch whose frame this is. */
  async confirm(frame: Frame, rows: number): Promise<void> {
    if (!this.#kept) return;
    await this.#kept.archive.confirm(frame, rows);
    if (this.#kept.archive.milestones === this.#milestones) return;
    this.#milestones = this.#kept.archive.milestones;
    await this.#record();
  }

  /** At every orderly end, a pause too: what is archived is sealed, listed and readable. */
  async finish(): Promise<void> {
    if (this.#kept) await this.#kept.archive.finish();
    else await this.#sealTable();
    await this.#record();
  }

  async close(): Promise<void> {
    await this.#kept?.archive.close();
  }

  async #sealTable(): Promise<void> {
    const { session, turn, fence } = this.#opening;
    const holder = this.holder as { schema: string; name: string };
    const { runId } = turn.claim;
    const { rows, rowHash } = await tableTotals(session, runId);
    if (rows === 0) return;
    const name = toText(ident(holder.schema, holder.name));
    const { bytes } = await session.one<{ bytes: string }>(
      sql`SELECT pg_catalog.pg_total_relation_size(${name}::pg_catalog.regclass)::pg_catalog.text AS bytes`,
    );
    const segment = {
      sequence: 1,
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
    failpoint('archive.listing');
    await recordSegments(
      deps.store,
      runId,
      sealed.map(({ sequence, location, rows, bytes, sha256 }) => ({
        sequence,
        location,
        rows,
        bytes,
        sha256: sha256 ?? '',
      })),
    );
    const { spec, hash } = turn.plan;
    const [subject] = spec.relations;
    if (!this.#kept || !subject) return;
    await writeManifest(this.#kept.store, session, {
      runId,
      planHash: hash,
      identity: spec.identity,
      schema: subject.schema,
      table: subject.name,
      format: 'COPY_ZSTD',
      content: this.#content,
    });
  }
}

/** As registered by the first worker; the table may be gone by the time a later one makes the archive safe. */
async function contentFor(opening: Opening, destination: ArchiveDestination): Promise<ArchiveContent | null> {
  const { deps, turn, relation } = opening;
  const known = await findArchiveByRun(deps.store, turn.claim.runId);
  if (known || !relation) return known?.content ?? null;
  const content = contentOf(relation, destination, turn.claim.runId);
  await register(opening, destination, content);
  return content;
}

async function openKept(
  { deps, turn, session, fence }: Opening,
  destination: ArchiveDestination,
): Promise<Kept | null> {
  if (destination.kind === 'TABLE') return null;
  const store = deps.archiveStores.get(destination.store);
  if (store?.kind !== destination.kind)
    throw new Stop(
      'ARCHIVE_STORE',
      `This worker has no archive store named "${destination.store}". Configure it, then resume.`,
    );
  return { store, archive: await openSegments(store, session, { runId: turn.claim.runId, fence }) };
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

const contentOf = (relation: Relation, destination: ArchiveDestination, runId: string): ArchiveContent => ({
  columns: relation.columns.map(({ name, type, number }) => ({ name, type, number })),
  holder:
    destination.kind === 'TABLE'
      ? { schema: destination.schema, name: holderName(destination.table, runId) }
      : null,
});

const HOLDER_STEM_BYTES = 50;

/** A name of at most 63 bytes, told apart by the run. */
function holderName(table: string, runId: string): string {
  // Cutting bytes may split the last character; what is left of it decodes to a replacement character and goes too.
  const stem = Buffer.from(table)
    .subarray(0, HOLDER_STEM_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '');
  return `${stem}_${runId.slice(0, 8)}`;
}
