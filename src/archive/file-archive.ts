import type { Frame } from './segment-sink.ts';
import {
  type LedgerSegment,
  listFrames,
  listSegments,
  removeSegment,
  underFence,
  writeSegment,
} from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { fileExists, type FileStore, openFile } from './file-store.ts';
import { findOrphan, moveOrphans } from './move-orphans.ts';
import { type Owner, SEGMENT_BYTES, type SegmentArchive } from './segment-archive.ts';
import { SegmentFile } from './segment-file.ts';

/** The archive of one run in a file store, held by one worker under one fence. */
export class FileArchive implements SegmentArchive {
  readonly #store: FileStore;
  readonly #session: Session;
  readonly #owner: Owner;
  #lastSequence = 0;
  #open: SegmentFile | null = null;
  #openRows = 0;
  /** the open segment has its row in the ledger */
  #recorded = false;
  #sealed = 0;

  private constructor(store: FileStore, session: Session, owner: Owner) {
    this.#store = store;
    this.#session = session;
    this.#owner = owner;
  }

  /** Takes up what the ledger says was archived so far; files that it does not know go to orphans/. */
  static async open(store: FileStore, session: Session, owner: Owner): Promise<FileArchive> {
    const archive = new FileArchive(store, session, owner);
    const segments = await listSegments(session, owner.runId);
    // A server that lost its last commits hands out a fence again: the files of that time are out of the way first.
    await archive.#clearOrphans(segments.map(({ location }) => sealedName(location)));
    for (const segment of segments) if (!segment.sealed) await archive.#takeOver(segment);
    archive.#lastSequence = segments.at(-1)?.sequence ?? 0;
    await archive.#clearOrphans();
    return archive;
  }

  /** Within the batch's transaction, before its COMMIT. */
  async append(session: Session, text: Buffer, rows: number): Promise<Frame> {
    const { runId, fence } = this.#owner;
    this.#open ??= await SegmentFile.create(this.#store, runId, this.#lastSequence + 1, fence);
    const frame = await this.#open.append(text, rows);
    if (!this.#recorded) {
      await writeSegment(session, runId, fence, openSegment(this.#open));
    }
    return frame;
  }

  /** After the COMMIT of the batch whose frame this is. */
  async confirm(frame: Frame, rows: number): Promise<void> {
    if (!this.#open) throw new TypeError('A frame without a segment');
    this.#open.confirm(frame);
    this.#recorded = true;
    this.#openRows += rows;
    if (this.#open.committed >= SEGMENT_BYTES) await this.seal();
  }

  /**
   * Seals the open segment, if there is one with rows in it. When this fails, this object is of no more use: whoever opens the
   * archive anew takes the segment over from the ledger, whether its file was renamed or not.
   */
  async seal(): Promise<void> {
    const open = this.#open;
    if (!open || !this.#recorded) return;
    const { runId, fence } = this.#owner;
    const { sequence } = open;
    const rows = this.#openRows;
    this.#open = null;
    this.#recorded = false;
    this.#openRows = 0;
    this.#lastSequence = sequence;
    const sealed = { ...(await open.seal()), sequence, sealed: true, rows };
    await underFence(this.#session, runId, fence, () => writeSegment(this.#session, runId, fence, sealed));
    this.#sealed += 1;
  }

  get milestones(): number {
    return this.#sealed;
  }

  /** Seals, and leaves no file behind that the ledger does not know. */
  async finish(): Promise<void> {
    await this.seal();
    await this.close();
    await this.#clearOrphans();
  }

  async close(): Promise<void> {
    await this.#open?.close();
    this.#open = null;
  }

  async #takeOver(segment: LedgerSegment): Promise<void> {
    const { runId, fence } = this.#owner;
    const frames = await listFrames(this.#session, runId, segment.sequence);
    if (frames.length === 0) {
      return underFence(this.#session, runId, fence, () =>
        removeSegment(this.#session, runId, segment.sequence),
      );
    }
    const old = await openFile(this.#store, await this.#locationOf(segment));
    try {
      const open = await SegmentFile.create(this.#store, runId, segment.sequence, fence);
      await open.adopt(old, frames);
      await underFence(this.#session, runId, fence, () =>
        writeSegment(this.#session, runId, fence, openSegment(open)),
      );
      this.#open = open;
      this.#recorded = true;
      this.#openRows = frames.reduce((sum, frame) => sum + frame.rows, 0);
    } finally {
      await old.close();
    }
  }

  /** A worker that died while sealing may have renamed the file before the ledger knew. */
  async #locationOf(segment: LedgerSegment): Promise<string> {
    const { location } = segment;
    for (const name of [location, sealedName(location)]) {
      if (await fileExists(this.#store, name)) return name;
    }
    // A take-over was forgotten along with the last commits of a server: what it put aside is what counts again.
    return (await findOrphan(this.#store, this.#owner.runId, location)) ?? location;
  }

  /** Under the fence: a worker that wakes up late must not move the files of its successor. */
  async #clearOrphans(also: readonly string[] = []): Promise<void> {
    const { runId, fence } = this.#owner;
    await underFence(this.#session, runId, fence, async () => {
      const segments = await listSegments(this.#session, runId);
      await moveOrphans(this.#store, runId, new Set([...segments.map(({ location }) => location), ...also]));
    });
  }
}

const sealedName = (location: string): string => location.replace(/\.open$/, '');

const openSegment = ({ sequence, location }: SegmentFile): LedgerSegment => ({
  sequence,
  location,
  sealed: false,
  rows: 0,
  bytes: 0,
  sha256: null,
});
