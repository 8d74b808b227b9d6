import type { ToastFigures } from './define-analysis.ts';
import { type Estimate, unknown } from './estimate-heap.ts';
import type { Packing } from './pack-rows.ts';
import { PAGE_BYTES } from './tuple-size.ts';

/** The size that VACUUM FULL would leave of a TOAST table, from the sizes of a sample of its values. */
export function estimateToast(toast: ToastFigures, sample: Packing | null): Estimate {
  if (toast.countersLost) {
    return unknown(
      'TOAST_COUNTERS_LOST',
      'The counters of the TOAST table were lost in a crash or a reset.',
      'VACUUM the table.',
    );
  }
  if (toast.liveChunks === 0) {
    const rowBytes = (toast.pages.count * PAGE_BYTES) / Math.max(toast.deadChunks, 1);
    return { known: true, neededBytes: 0, rowBytes };
  }
  if (sample === null) {
    return unknown(
      'TOAST_UNSEEN',
      'How large the values in the TOAST table are can only be seen in the rows, which could not be sampled.',
      'GRANT SELECT on the table to the role, or measure it with exact (pgstattuple).',
    );
  }
  const rowBytes = sample.pagesPerRow * PAGE_BYTES;
  return {
    known: true,
    neededBytes: Math.ceil(toast.liveChunks * sample.pagesPerRow) * PAGE_BYTES,
    rowBytes,
  };
}
