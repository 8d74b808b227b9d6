import type { StateCode } from './run.ts';

/** The run can't go on now. The engine rolls back and pauses (or fails) with this reason; nothing is half done. */
export class Stop extends Error {
  readonly stateCode: StateCode;
  readonly outcome: 'PAUSED' | 'FAILED';

  constructor(
    stateCode: StateCode,
    message: string,
    outcome: 'PAUSED' | 'FAILED' = 'PAUSED',
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'Stop';
    this.stateCode = stateCode;
    this.outcome = outcome;
  }
}
