import type { Session } from '../target/session.ts';
import type { ArchiveStore } from './archive-store.ts';
import { FileArchive } from './file-archive.ts';
import { isFileStore } from './file-store.ts';
import { ObjectArchive } from './object-archive.ts';
import type { Owner, SegmentArchive } from './segment-archive.ts';
import type { FormatOf } from './segment-format.ts';

/** Takes up what the ledger says was archived so far: batches are gathered in files where the store can append to one. */
export const openSegments = (
  store: ArchiveStore,
  session: Session,
  owner: Owner,
  formatOf: FormatOf,
): Promise<SegmentArchive> =>
  isFileStore(store)
    ? FileArchive.open(store, session, owner, formatOf)
    : ObjectArchive.open(store, session, owner, formatOf);
