import type { Clock } from '../clock.ts';
import type { Throttle } from '../domain/run.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { HealthCheck, HealthContext, Objection } from './define-throttle.ts';

const LOOK_MS = 500;

/** Asks the checks again and again beside the batches; the first objection wins and is shown in the run. */
export class HealthWatch {
  readonly #checks: readonly HealthCheck[];
  readonly #monitor: Session;
  readonly #workers: () => readonly Session[];
  readonly #clock: Clock;
  readonly #throttle: () => Throttle;
  readonly #tables: readonly number[];
  readonly #stopped = new AbortController();
  #objection: Objection | null = null;
  #watching: Promise<void> = Promise.resolve();

  constructor(
    checks: readonly HealthCheck[],
    sessions: { monitor: Session; workers: () => readonly Session[] },
    clock: Clock,
    throttle: () => Throttle,
    tables: readonly number[],
  ) {
    this.#tables = tables;
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
  get objection(): Objection | null {
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

  /** In one transaction: a look must cost less than the batches it watches over. */
  async #ask(): Promise<Objection | null> {
    let asked = '';
    try {
      return await this.#monitor.transaction(async () => {
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
      monitor: this.#monitor,
      workerPids: this.#workers().map(({ backend }) => backend.pid),
      throttle: this.#throttle(),
      tables: this.#tables,
      now: this.#clock.now(),
    };
  }
}
