import { Stop } from '../domain/stop.ts';

/** The archive store did not take or give something in time. Nothing is committed; another try may do. */
export class StoreBusy extends Stop {
  constructor(reason: string, options?: ErrorOptions) {
    super(
      'ARCHIVE_STORE',
      `The archive store did not answer as it should (${reason}). Nothing is half done; resume the run when it is well.`,
      'PAUSED',
      options,
    );
    this.name = 'StoreBusy';
  }
}
