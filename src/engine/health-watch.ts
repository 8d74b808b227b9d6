import type { Clock } from '../clock.ts';
import type { Throttle } from '../domain/run.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { HealthCheck } from './define-throttle.ts';

const LOOK_MS = 500;

/** Asks the checks again and again beside the batches; the first objection wins and is shown in the run. */
export class HealthWatch {
  readonly #checks: readonly HealthCheck[];
  readonly #monitor: Session;
  readonly #workers: () => readonly Session[];
  readonly #clock: Clock;
  readonly #throttle: () => Throttle;
  readonly #stopped = new AbortController();
  #objection: string | null = null;
  #watching: Promise<void> = Promise.resolve();

  constructor(
    checks: readonly HealthCheck[],
    sessions: { monitor: Session; workers: () => readonly Session[] },
    clock: Clock,
    throttle: () => Throttle,
  ) {
    this.#checks = checks;
    this.#monitor = sessions.monitor;
    this.#workers = sessions.workers;
    this.#clock = clock;
    this.#throttle = throttle;
  }

  async start(): Promise<void> {
    this.#objection = await this.#ask();
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  /** @throws TargetError CONNECTION when the session that watches is gone: it would object for ever */
  get objection(): string | null {
    if (this.#monitor.isLost)
      throw new TargetError('CONNECTION', null, 'The session that watches the database is gone.', null);
    return this.#objection;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#clock.sleep(LOOK_MS, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) this.#objection = await this.#ask();
    }
  }

  async #ask(): Promise<string | null> {
    for (const check of this.#checks) {
      const objection = await this.#askOne(check);
      if (objection !== null) return objection;
    }
    return null;
  }

  async #askOne(check: HealthCheck): Promise<string | null> {
    try {
      return await this.#monitor.transaction(() =>
        check.objection({
          monitor: this.#monitor,
          workerPids: this.#workers().map(({ backend }) => backend.pid),
          throttle: this.#throttle(),
        }),
      );
    } catch (error) {
      return `The check ${check.name} can't be read (${(error as Error).message}); resting until it can.`;
    }
  }
}
