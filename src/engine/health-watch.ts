import type { Clock } from '../clock.ts';
import type { Throttle } from '../domain/run.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { HealthCheck, HealthContext, Objection } from './define-throttle.ts';

const LOOK_MS = 500;

interface Watched extends Pick<HealthContext, 'monitor' | 'tables' | 'archiveFreeBytes'> {
  readonly workers: () => readonly Session[];
}

/** Asks the checks again and again beside the batches; the first objection wins and is shown in the run. */
export class HealthWatch {
  readonly #checks: readonly HealthCheck[];
  readonly #watched: Watched;
  readonly #clock: Clock;
  readonly #throttle: () => Throttle;
  readonly #stopped = new AbortController();
  #objection: Objection | null = null;
  #askedWith: Throttle | null = null;
  #asking: Promise<void> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();

  constructor(checks: readonly HealthCheck[], watched: Watched, clock: Clock, throttle: () => Throttle) {
    this.#checks = checks;
    this.#watched = watched;
    this.#clock = clock;
    this.#throttle = throttle;
  }

  async start(): Promise<void> {
    await this.#look();
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  /**
   * As last asked for, and with the throttle as it is now.
   * @throws TargetError CONNECTION when the session that watches is gone: it would object for ever
   */
  async objection(): Promise<Objection | null> {
    if (this.#askedWith !== this.#throttle()) await this.#look();
    if (this.#watched.monitor.isLost)
      throw new TargetError('CONNECTION', null, 'The session that watches the database is gone.', null);
    return this.#objection;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#clock.sleep(LOOK_MS, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) await this.#look();
    }
  }

  /** One look at a time: they share a session. */
  #look(): Promise<void> {
    this.#asking = this.#asking.then(async () => {
      const throttle = this.#throttle();
      this.#objection = await this.#ask();
      this.#askedWith = throttle;
    });
    return this.#asking;
  }

  /** In one transaction: a look must cost less than the batches it watches over. */
  async #ask(): Promise<Objection | null> {
    let asked = '';
    try {
      return await this.#watched.monitor.transaction(async () => {
        for (const check of this.#checks) {
          asked = check.name;
          const objection = await check.objection(this.#context());
          if (objection !== null) return objection;
        }
        return null;
      });
    } catch (error) {
      return `The check ${asked} can't be read (${(error as Error).message}); resting until it can.`;
    }
  }

  #context(): HealthContext {
    return {
      ...this.#watched,
      workerPids: this.#watched.workers().map(({ backend }) => backend.pid),
      throttle: this.#throttle(),
      now: this.#clock.now(),
    };
  }
}
