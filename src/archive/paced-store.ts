import type { Clock } from '../clock.ts';
import type { ArchiveStore } from './archive-store.ts';

/** The same store, read no faster than so many bytes a second: reading an archive back is in no hurry. */
export function pacedStore(store: ArchiveStore, bytesPerSecond: number, clock: Clock): ArchiveStore {
  let dueAt = clock.monotonicMs();
  const wait = async (bytes: number): Promise<void> => {
    dueAt = Math.max(dueAt, clock.monotonicMs()) + (bytes / bytesPerSecond) * 1_000;
    await clock.sleep(dueAt - clock.monotonicMs());
  };
  return {
    ...store,
    open: async (location, deadline) => {
      const file = await store.open(location, deadline);
      return {
        size: file.size,
        read: async (into, offset, length, position) => {
          const read = await file.read(into, offset, length, position);
          await wait(read.bytesRead);
          return read;
        },
        close: () => file.close(),
      };
    },
  };
}
