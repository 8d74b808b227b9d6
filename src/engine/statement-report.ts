import type { Statement, StatementProgress } from '../operations/define-operation.ts';
import type { Store } from '../store/open-store.ts';
import { appendEvent } from '../store/run-events.ts';
import type { Session } from '../target/session.ts';
import type { Performance } from './perform-batches.ts';
import type { Watching } from './watchdog.ts';

/** A phase that takes long is told of again after so long. */
const TELL_MS = 10_000;

type Told = Pick<Performance, 'runId' | 'clock' | 'progress'> & { readonly store: Store };

/** What people see of a statement that runs. */
export class StatementReport implements Watching {
  readonly #run: Told;
  readonly #statement: Statement;
  #phase = '';
  #toldAt = -Infinity;

  constructor(run: Told, statement: Statement) {
    this.#run = run;
    this.#statement = statement;
  }

  get holdsTable(): boolean {
    return this.#statement.holdsTable === true;
  }

  get helpers(): string | null {
    return this.#statement.helpers ?? null;
  }

  async readProgress(monitor: Session): Promise<StatementProgress | null> {
    return (await this.#statement.progress?.(monitor)) ?? null;
  }

  begins(): Promise<void> {
    const { description, sql } = this.#statement;
    return appendEvent(this.#run.store, this.#run.runId, {
      kind: 'STATEMENT',
      message: description,
      data: { sql },
    });
  }

  async ends(): Promise<void> {
    const outcome = await this.#statement.outcome?.();
    if (outcome !== undefined) await this.#run.progress.tells({ kind: 'STATEMENT_DONE', message: outcome });
  }

  waits(reason: string): Promise<void> {
    return this.#run.progress.resting(reason);
  }

  async moves(progress: StatementProgress): Promise<void> {
    const now = this.#run.clock.monotonicMs();
    if (progress.phase === this.#phase && now - this.#toldAt < TELL_MS) return;
    this.#phase = progress.phase;
    this.#toldAt = now;
    const message = `${this.#statement.description}: ${inWords(progress)}.`;
    await this.#run.progress.moves(message, { ...progress });
  }
}

const inWords = ({ phase, done, total }: StatementProgress): string =>
  done === null || total === null || total === 0
    ? phase
    : `${phase}, ${Math.min(100, Math.floor((done / total) * 100))} %`;
