import type { HealthCheck } from '../define-throttle.ts';

/** Pauses the run when the folder of its archive has little room left: somebody has to make some. */
export const archiveSpace: HealthCheck = {
  name: 'archive-space',
  async objection({ archiveFreeBytes, throttle: { minArchiveFreeBytes } }) {
    const free = await archiveFreeBytes();
    if (free === null || free >= minArchiveFreeBytes) return null;
    return {
      code: 'RESOURCE',
      pause: `The folder of the archive has ${free} bytes left; ${minArchiveFreeBytes} must stay free. Make room, then resume the run.`,
    };
  },
};
