import { type ArchiveStore, manifestLocation } from './archive-store.ts';

/** A piece of an archive that is to be destroyed. */
export interface DoomedSegment {
  readonly sequence: number;
  readonly location: string;
  readonly rows: number;
}

/** An archive that only one run may still touch, which destroys it. What is gone already is no failure: a run may begin anew. */
export interface DoomedArchive {
  /** in a store; in order */
  readonly segments: readonly DoomedSegment[];
  /** in the database: the tables that hold the rows */
  readonly holders: readonly { readonly schema: string; readonly name: string }[];
  destroy(segment: DoomedSegment): Promise<void>;
}

/** What stays of an archive in a store: what it was, and that it is no more. */
export interface Tombstone {
  readonly run: string;
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
  readonly expired: { readonly at: string; readonly run: string };
  readonly segments: readonly {
    readonly sequence: number;
    readonly location: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** Takes the manifest's place before the first segment goes: who finds half an archive reads there why. */
export const writeTombstone = (store: ArchiveStore, tombstone: Tombstone): Promise<void> =>
  store.replace(
    manifestLocation(tombstone.run),
    `${JSON.stringify({ version: 1, ...tombstone }, null, 2)}\n`,
  );
