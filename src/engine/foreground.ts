import type { Clock } from '../clock.ts';
import type { Throttle } from '../domain/run.ts';
import { isConsiderate } from '../domain/throttle.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { affordableShare, slowedBeside } from './duty-cycle.ts';
import { isUsed, probe } from './foreground-probe.ts';

/** So many latencies of each kind are remembered: some seconds to a minute. */
const REMEMBERED = { alone: 256, beside: 64 } as const;
/** Apart from each other. */
const GAP_MS = 100;
const USED_MS = 1_000;
/** A share within this of the wanted one is the wanted one, as far as people care. */
const NEARLY = 0.95;

type Kind = 'alone' | 'beside';

/**
 * Learns how long a statement of others takes while we rest and beside our batches, and how much of the time a run may work
 * so that they hardly notice. Who need not be considerate is not held back; nor is anybody where there are no others.
 */
export class Foreground {
  readonly #connect: () => Promise<Session>;
  readonly #runId: string;
  readonly #clock: Clock;
  readonly #throttle: () => Throttle;
  readonly #stopped = new AbortController();
  readonly #latencies: Record<Kind, number[]> = { alone: [], beside: [] };
  #session: Session | null = null;
  readonly #samplers = new Set<Promise<void>>();
  #isProbing = false;
  #trouble: string | null = null;
  #isUsed = true;
  #askedAt = -Infinity;
  #working = false;
  #batches = 0;
  #besideAt = -Infinity;
  #aloneAt = -Infinity;

  /** connect: a session of its own that may write, opened once it is needed */
  constructor(connect: () => Promise<Session>, runId: string, clock: Clock, throttle: () => Throttle) {
    this.#connect = connect;
    this.#runId = runId;
    this.#clock = clock;
    this.#throttle = throttle;
  }

  /** Looks whether there are others at all, before the first batch. */
  async start(): Promise<void> {
    if (this.#isWanted) await this.#keep(this.#sample());
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#samplers);
    this.#session?.destroy();
  }

  get sessions(): readonly Session[] {
    return this.#session === null ? [] : [this.#session];
  }

  /** A batch begins that will take about so long. */
  begins(ms: number): void {
    this.#working = true;
    this.#batches += 1;
    const now = this.#clock.monotonicMs();
    if (!this.#isWanted || now - this.#besideAt < GAP_MS) return;
    this.#besideAt = now;
    void this.#keep(this.#sampleAfter(Math.random() * ms));
  }

  /** A batch has ended, well or not. */
  ends(): void {
    this.#working = false;
  }

  /** Nothing of ours will be under way for so long. */
  rests(ms: number): void {
    if (this.#isWanted) void this.#keep(this.#sampleWhileResting(ms));
  }

  /**
   * The share of the time that the run may work now.
   * @throws TargetError CONNECTION when the session that measures is gone
   */
  get dutyCycle(): number {
    const { dutyCycle } = this.#throttle();
    if (!this.#isWanted) return dutyCycle;
    if (this.#session?.isLost)
      throw new TargetError('CONNECTION', null, 'The session that measures the database is gone.', null);
    return this.#isUsed ? affordableShare(dutyCycle, this.#slowed) : dutyCycle;
  }

  /** Why it works less than it was told to; null: it does not. */
  get reason(): string | null {
    const wanted = this.#throttle().dutyCycle;
    const share = this.dutyCycle;
    if (share >= wanted * NEARLY) return null;
    const instead = `working ${percent(share)} % of the time instead of ${percent(wanted)} %.`;
    if (this.#trouble !== null) return `What others notice cannot be measured (${this.#trouble}): ${instead}`;
    const seen = this.#latencies.beside.length;
    if (seen < REMEMBERED.beside / 2) return `Learning how much others notice of the batches: ${instead}`;
    return `Of a hundred statements of others ${Math.round(100 * this.#slowed)} are slow beside a batch: ${instead}`;
  }

  get #slowed(): number {
    return slowedBeside(this.#latencies, this.#throttle().maxSlowdown);
  }

  get #isWanted(): boolean {
    return isConsiderate(this.#throttle());
  }

  /** What can't be measured is not known, and the reason for a small share says so; a lost session shows in dutyCycle. */
  #keep(sampling: Promise<void>): Promise<void> {
    const kept = sampling
      .catch((error: unknown) => {
        this.#trouble = error instanceof Error ? error.message : String(error);
      })
      .finally(() => this.#samplers.delete(kept));
    this.#samplers.add(kept);
    return kept;
  }

  async #sampleWhileResting(ms: number): Promise<void> {
    const batches = this.#batches;
    const until = this.#clock.monotonicMs() + ms;
    for (;;) {
      const now = this.#clock.monotonicMs();
      const from = Math.max(now, this.#aloneAt + GAP_MS);
      if (from >= until) return;
      await this.#clock.sleep(
        from - now + Math.random() * Math.min(GAP_MS, until - from),
        this.#stopped.signal,
      );
      if (this.#stopped.signal.aborted || this.#batches !== batches) return;
      this.#aloneAt = this.#clock.monotonicMs();
      await this.#sample();
    }
  }

  async #sampleAfter(ms: number): Promise<void> {
    await this.#clock.sleep(ms, this.#stopped.signal);
    if (!this.#stopped.signal.aborted) await this.#sample();
  }

  /** Measures once, if nothing is being measured. */
  async #sample(): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    try {
      this.#session ??= await this.#connect();
      if (this.#clock.monotonicMs() - this.#askedAt > USED_MS) await this.#lookAround(this.#session);
      else if (this.#isUsed) await this.#measure(this.#session);
    } finally {
      this.#isProbing = false;
    }
  }

  async #measure(session: Session): Promise<void> {
    const [working, batches] = [this.#working, this.#batches];
    const took = await probe(session, this.#runId);
    const met = working || this.#working || this.#batches !== batches;
    const kind = met ? 'beside' : 'alone';
    const latencies = this.#latencies[kind];
    latencies.push(took);
    if (latencies.length > REMEMBERED[kind]) latencies.shift();
    this.#trouble = null;
  }

  async #lookAround(session: Session): Promise<void> {
    this.#isUsed = await isUsed(session);
    this.#askedAt = this.#clock.monotonicMs();
  }
}

const percent = (share: number): string => (share * 100).toFixed(share < 0.1 ? 1 : 0);
