import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';

export interface RoundsDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** how often to look whether something is due */
  readonly lookMs?: number;
}

export interface Rounds {
  stop(): Promise<void>;
}

/** Work that comes due again and again; many processes share it. */
export interface RoundWork<Turn> {
  /** for the log, as in "snapshots" */
  readonly name: string;
  /** How many turns one process uses at once: what holds one up leaves the others free. */
  readonly lanes: number;
  /** Takes a turn for this process alone; null when none is due. */
  take(): Promise<Turn | null>;
  /** What fails in a turn is told and tried again by the work itself. */
  use(turn: Turn, stopping: AbortSignal): Promise<void>;
}

const LOOK_MS = 10_000;
/** What is under way is given up at the end: it changes nothing, and another worker takes the next turn. */
const STOP_MS = 1_000;

/** Uses every turn that is due, for as long as the process lives. */
export function startRounds<Turn>(deps: RoundsDeps, work: RoundWork<Turn>): Rounds {
  const stopping = new AbortController();
  const lanes = Array.from({ length: work.lanes }, () => lookAround(deps, work, stopping.signal));
  return {
    stop: async () => {
      stopping.abort();
      await Promise.race([Promise.all(lanes), deps.clock.sleep(STOP_MS)]);
    },
  };
}

async function lookAround<Turn>(
  { clock, log, lookMs }: RoundsDeps,
  work: RoundWork<Turn>,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    try {
      let turn = await work.take();
      for (; turn !== null; turn = stopping.aborted ? null : await work.take())
        await work.use(turn, stopping);
    } catch (error) {
      if (!stopping.aborted)
        log.warn({ err: error }, `the control store does not answer; ${work.name} wait until it does`);
    }
    await clock.sleep(lookMs ?? LOOK_MS, stopping);
  }
}
