import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Claim, type Heartbeat, renewLease } from '../store/leases.ts';
import type { Store } from '../store/open-store.ts';

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}

/** A worker looks this often whether somebody has asked it to pause; each look renews the lease as well. */
const LOOK_MS = 500;

/** This worker's right to a run, renewed by heartbeats; what people ask of the run comes back with each. */
export class Lease {
  readonly claim: Claim;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #times: LeaseTimes;
  readonly #log: Log;
  readonly #touched: Parameters<typeof renewLease>[3];
  readonly #stopped = new AbortController();
  #renewedAt: number;
  #latest: Heartbeat | null = null;
  #lost = false;
  #beating: Promise<void> = Promise.resolve();
  #deaf: () => void = () => undefined;
  #endRest: () => void = () => undefined;

  constructor(
    deps: { store: Store; clock: Clock; times: LeaseTimes; log: Log },
    claim: Claim,
    touched: Parameters<typeof renewLease>[3],
  ) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#times = deps.times;
    this.#log = deps.log;
    this.#touched = touched;
    this.claim = claim;
    this.#renewedAt = deps.clock.monotonicMs();
  }

  /** Waits for the first heartbeat, then goes on in the background until stop. */
  async start(): Promise<void> {
    this.#deaf = this.#store.wishes.listen(this.claim.runId, () => void this.renew());
    await this.renew();
    this.#beating = this.#beat();
  }

  async stop(): Promise<void> {
    this.#deaf();
    this.#stopped.abort();
    await this.#beating;
  }

  /** What is asked of the run, as last heard. */
  get latest(): Heartbeat {
    if (!this.#latest) throw new TypeError('The lease has not been started');
    return this.#latest;
  }

  /**
   * Whether this worker may begin or commit a batch: by its own monotonic clock, well before others may take over. A process
   * that was stopped, starved or cut off from the control store sees it here and leaves the run alone.
   */
  get isSafe(): boolean {
    return !this.#lost && this.#clock.monotonicMs() - this.#renewedAt < this.#times.leaseMs * 0.8;
  }

  async renew(): Promise<void> {
    const before = this.#clock.monotonicMs();
    try {
      const latest = await renewLease(this.#store, this.claim, this.#times.leaseMs, this.#touched);
      if (latest) this.#hear(latest, before);
      else this.#lost = true;
    } catch (error) {
      // The control store is away: batches go on while the lease is safe, and stop by themselves after that.
      this.#log.warn({ err: error, run: this.claim.runId }, 'the lease could not be renewed');
    }
  }

  /** Rests so long, or until something else is asked of the run than had been when the rest was wanted. */
  async rest(ms: number, wantedAt: Heartbeat, stopping: AbortSignal): Promise<void> {
    const over = new AbortController();
    const end = () => over.abort();
    stopping.addEventListener('abort', end);
    this.#endRest = end;
    try {
      if (!stopping.aborted && isSame(wantedAt, this.latest)) await this.#clock.sleep(ms, over.signal);
    } finally {
      stopping.removeEventListener('abort', end);
    }
  }

  /** A throttle that is as it was stays the same object. */
  #hear(latest: Heartbeat, at: number): void {
    const before = this.#latest ?? latest;
    const same = isDeepStrictEqual(before.throttle, latest.throttle);
    this.#latest = same ? { ...latest, throttle: before.throttle } : latest;
    this.#renewedAt = Math.max(this.#renewedAt, at);
    if (!isSame(before, this.#latest)) this.#endRest();
  }

  async #beat(): Promise<void> {
    const every = Math.min(this.#times.heartbeatMs, LOOK_MS);
    while (!this.#stopped.signal.aborted && !this.#lost) {
      await this.#clock.sleep(every, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) await this.renew();
    }
  }
}

const isSame = (one: Heartbeat, other: Heartbeat): boolean =>
  one.throttle === other.throttle && one.state === other.state;
