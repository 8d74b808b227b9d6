import type { Session } from '../target/session.ts';
import type { ArchiveStore } from './archive-store.ts';
import { FileArchive } from './file-archive.ts';
import { isFileStore } from './file-store.ts';
import { ObjectArchive } from './object-archive.ts';
import type { Owner, SegmentArchive } from './segment-archive.ts';

/** Takes up what the ledger says was archived so far: batches are gathered in files where the store can append to one. */
export const openSegments = (store: ArchiveStore, session: Session, owner: Owner): Promise<SegmentArchive> =>
  isFileStore(store) ? FileArchive.open(store, session, owner) : ObjectArchive.open(store, session, owner);
