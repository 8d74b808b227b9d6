import { failpoint } from '../failpoint.ts';
import { release } from '../release.ts';
import type { LedgerSegment } from '../target/ledger-segments.ts';
import { listSegments, underFence, writeSegment } from '../target/ledger-segments.ts';
import type { Session } from '../target/session.ts';
import type { ArchiveStore } from './archive-store.ts';
import { inTurn } from './in-turn.ts';
import { moveOrphans } from './move-orphans.ts';
import { type Batch, checkStored } from './read-back.ts';
import { hashOf, readExactly } from './read-file.ts';
import { type Owner, SEGMENT_BYTES, type SegmentArchive } from './segment-archive.ts';
import type { FormatOf, SegmentFormat } from './segment-format.ts';
import type { Frame } from './segment-sink.ts';

/** The rows of a batch are locked while they are stored; a store that takes longer has the batch rolled back and tried again. */
const STORE_MS = 2_000;

/**
 * The archive of one run as a segment for each batch, for stores that cannot append: it is there, whole and read back, before
 * the batch commits. A batch that is rolled back leaves an object that the ledger does not know, under a name that is not
 * used again.
 */
export class ObjectArchive implements SegmentArchive {
  readonly #store: ArchiveStore;
  readonly #session: Session;
  readonly #owner: Owner;
  readonly #formatOf: FormatOf;
  readonly #storeMs: number;
  readonly #entering = inTurn();
  #lastSequence = 0;
  #tries = 0;
  #bytes = 0;

  private constructor(
    store: ArchiveStore,
    session: Session,
    owner: Owner,
    formatOf: FormatOf,
    storeMs: number,
  ) {
    this.#store = store;
    this.#session = session;
    this.#owner = owner;
    this.#formatOf = formatOf;
    this.#storeMs = storeMs;
  }

  /** Objects that the ledger does not know go to orphans/. */
  static async open(
    store: ArchiveStore,
    session: Session,
    owner: Owner,
    formatOf: FormatOf,
    storeMs = STORE_MS,
  ): Promise<ObjectArchive> {
    const archive = new ObjectArchive(store, session, owner, formatOf, storeMs);
    const segments = await archive.#clearOrphans();
    archive.#lastSequence = segments.at(-1)?.sequence ?? 0;
    return archive;
  }

  /** Parts of a batch may be stored at the same time. The number of one that is rolled back is not used again. */
  async append(session: Session, text: Buffer, rows: number, part = 0): Promise<Frame> {
    const { runId, fence } = this.#owner;
    this.#lastSequence += 1;
    const sequence = this.#lastSequence;
    const format = this.#formatOf(part);
    const bytes = await format.encode(text);
    const sha256 = hashOf(bytes);
    const location = this.#nextLocation(sequence, format.extension);
    await this.#keep(location, bytes, format, { text, rows });
    const segment = { sequence, location, sealed: true, rows, bytes: bytes.length, sha256 };
    await this.#entering(() => writeSegment(session, runId, fence, segment));
    const frame = { segment: sequence, start: 0, length: bytes.length, sha256, rowHash: null };
    release(bytes);
    return frame;
  }

  confirm({ length }: Frame): Promise<void> {
    this.#bytes += length;
    return Promise.resolve();
  }

  get milestones(): number {
    return Math.floor(this.#bytes / SEGMENT_BYTES);
  }

  async finish(): Promise<void> {
    await this.#clearOrphans();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #nextLocation(sequence: number, extension: string): string {
    const { runId, fence } = this.#owner;
    this.#tries += 1;
    return `${runId}/${String(sequence).padStart(6, '0')}-f${fence}-${this.#tries}${extension}`;
  }

  async #keep(location: string, bytes: Buffer, format: SegmentFormat, batch: Batch): Promise<void> {
    const deadline = AbortSignal.timeout(this.#storeMs + extraMs(bytes.length));
    await this.#store.create(location, bytes, deadline);
    failpoint('segment.written');
    const stored = await readBack(this.#store, location, deadline);
    await checkStored(stored, bytes, format, batch);
    failpoint('segment.read-back');
    release(stored);
  }

  /** Under the fence: a worker that wakes up late must not move the objects of its successor. */
  async #clearOrphans(): Promise<LedgerSegment[]> {
    const { runId, fence } = this.#owner;
    return underFence(this.#session, runId, fence, async () => {
      const segments = await listSegments(this.#session, runId);
      await moveOrphans(this.#store, runId, new Set(segments.map(({ location }) => location)));
      return segments;
    });
  }
}

/** A single row that is larger than a batch may be has the time of a slow line, within what its transaction may wait. */
const extraMs = (bytes: number): number =>
  Math.ceil(Math.min(20_000, Math.max(0, bytes - USUAL_BYTES) / 4_000));

const USUAL_BYTES = 4_000_000;

async function readBack(store: ArchiveStore, location: string, deadline: AbortSignal): Promise<Buffer> {
  const file = await store.open(location, deadline);
  try {
    return await readExactly(file, 0, file.size);
  } finally {
    await file.close();
  }
}
