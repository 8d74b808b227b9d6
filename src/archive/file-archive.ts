import type { Frame } from './segment-sink.ts';
import type { LedgerSegment } from '../target/ledger-segments.ts';
import {
  listFrames,
  listSegments,
  removeSegment,
  underFence,
  writeSegment,
} from '../target/ledger-segments.ts';
import type { Session } from '../target/session.ts';
import { fileExists, type FileStore, openFile } from './file-store.ts';
import { inTurn } from './in-turn.ts';
import { findOrphan, moveOrphans } from './move-orphans.ts';
import { type Owner, SEGMENT_BYTES, type SegmentArchive } from './segment-archive.ts';
import { SegmentFile } from './segment-file.ts';
import type { FormatOf } from './segment-format.ts';

/** A segment that grows. */
interface Open {
  readonly part: number;
  readonly file: SegmentFile;
  rows: number;
  /** It has its row in the ledger. */
  isRecorded: boolean;
}

/** The archive of one run in a file store, held by one worker under one fence; the rows of each part are in segments of their own. */
export class FileArchive implements SegmentArchive {
  readonly #store: FileStore;
  readonly #session: Session;
  readonly #owner: Owner;
  readonly #formatOf: FormatOf;
  readonly #entering = inTurn();
  #lastSequence = 0;
  /** by part */
  readonly #open = new Map<number, Open>();
  #sealed = 0;

  private constructor(store: FileStore, session: Session, owner: Owner, formatOf: FormatOf) {
    this.#store = store;
    this.#session = session;
    this.#owner = owner;
    this.#formatOf = formatOf;
  }

  /** Takes up what the ledger says was archived so far; files that it does not know go to orphans/. */
  static async open(
    store: FileStore,
    session: Session,
    owner: Owner,
    formatOf: FormatOf,
  ): Promise<FileArchive> {
    const archive = new FileArchive(store, session, owner, formatOf);
    try {
      await archive.#takeUp();
      return archive;
    } catch (error) {
      await archive.close();
      throw error;
    }
  }

  async #takeUp(): Promise<void> {
    const segments = await listSegments(this.#session, this.#owner.runId);
    this.#lastSequence = segments.at(-1)?.sequence ?? 0;
    // A server that lost its last commits hands out a fence again: the files of that time are out of the way first.
    await this.#clearOrphans(segments.map(({ location }) => sealedName(location)));
    for (const segment of segments) if (!segment.sealed) await this.#takeOver(segment);
    await this.#clearOrphans();
  }

  /** Within the batch's transaction, before its COMMIT; one at a time for each part. */
  async append(session: Session, text: Buffer, rows: number, part = 0): Promise<Frame> {
    const { runId, fence } = this.#owner;
    const open = this.#open.get(part) ?? (await this.#create(part));
    const frame = await open.file.append(text, rows);
    if (!open.isRecorded)
      await this.#entering(() => writeSegment(session, runId, fence, openSegment(open.file)));
    return frame;
  }

  async #create(part: number): Promise<Open> {
    this.#lastSequence += 1;
    const file = await this.#createFile(part, this.#lastSequence);
    const open = { part, file, rows: 0, isRecorded: false };
    this.#open.set(part, open);
    return open;
  }

  #createFile(part: number, sequence: number): Promise<SegmentFile> {
    return SegmentFile.create(this.#store, this.#formatOf(part), this.#owner, sequence);
  }

  /** After the COMMIT of the batch whose frame this is. */
  async confirm(frame: Frame, rows: number): Promise<void> {
    const open = [...this.#open.values()].find(({ file }) => file.sequence === frame.segment);
    if (!open) throw new TypeError('A frame without a segment');
    open.file.confirm(frame);
    open.isRecorded = true;
    open.rows += rows;
    if (open.file.committed >= SEGMENT_BYTES) await this.#seal(open);
  }

  /**
   * Seals a segment with rows in it. When this fails, this object is of no more use: whoever opens the archive anew takes the
   * segment over from the ledger, whether its file was renamed or not.
   */
  async #seal({ part, file, rows }: Open): Promise<void> {
    const { runId, fence } = this.#owner;
    this.#open.delete(part);
    const sealed = { ...(await file.seal()), sequence: file.sequence, sealed: true, rows };
    await underFence(this.#session, runId, fence, () => writeSegment(this.#session, runId, fence, sealed));
    this.#sealed += 1;
  }

  get milestones(): number {
    return this.#sealed;
  }

  /** Seals, and leaves no file behind that the ledger does not know. */
  async finish(): Promise<void> {
    for (const open of [...this.#open.values()]) if (open.isRecorded) await this.#seal(open);
    await this.close();
    await this.#clearOrphans();
  }

  async close(): Promise<void> {
    for (const { file } of this.#open.values()) await file.close();
    this.#open.clear();
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
      const { part = 0, sequence } = segment;
      const file = await this.#createFile(part, sequence);
      const rows = frames.reduce((sum, frame) => sum + frame.rows, 0);
      this.#open.set(part, { part, file, rows, isRecorded: true });
      await file.adopt(old, frames);
      await underFence(this.#session, runId, fence, () =>
        writeSegment(this.#session, runId, fence, openSegment(file)),
      );
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
