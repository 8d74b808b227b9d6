import type { Clock } from '../clock.ts';
import type { Throttle } from '../domain/run.ts';
import { isRestless } from '../domain/throttle.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { affordableShare, slowdownAt } from './duty-cycle.ts';
import { isUsed, probe } from './foreground-probe.ts';

/** So many latencies of each kind are remembered: some seconds to a minute. */
const REMEMBERED = 256;
/** Before there are so many of each kind nothing is known. */
const LEAST = 32;
/** As long as nothing is known of a foreground that is there, this part of the wanted share has to do. */
const UNKNOWN = 0.25;
/** Apart from each other, until enough is known and after that. */
const GAPS_MS = { learning: 20, knowing: 60 } as const;
const USED_MS = 1_000;
/** So many new latencies are worth another judgement. */
const FRESH = 8;

type Kind = 'alone' | 'beside';

interface Judgement {
  readonly throttle: Throttle;
  readonly share: number;
  readonly slowdown: number;
}

/**
 * Learns how long a statement of others takes while we rest and beside our batches, and how much of the time a run may work
 * so that they hardly notice. Who wants no rest is not held back; nor is anybody where there are no others.
 */
export class Foreground {
  readonly #connect: () => Promise<Session>;
  readonly #runId: string;
  readonly #clock: Clock;
  readonly #throttle: () => Throttle;
  readonly #stopped = new AbortController();
  readonly #latencies: Record<Kind, number[]> = { alone: [], beside: [] };
  readonly #sampledAt: Record<Kind, number> = { alone: -Infinity, beside: -Infinity };
  #session: Session | null = null;
  #sampling: Promise<void> | null = null;
  #isUsed = true;
  #askedAt = -Infinity;
  #working = false;
  #batches = 0;
  #fresh = 0;
  #judged: Judgement | null = null;

  /** connect: a session of its own that may write, opened once it is needed */
  constructor(connect: () => Promise<Session>, runId: string, clock: Clock, throttle: () => Throttle) {
    this.#connect = connect;
    this.#runId = runId;
    this.#clock = clock;
    this.#throttle = throttle;
  }

  /** Looks whether there are others at all, before the first batch. */
  async start(): Promise<void> {
    this.#sampleWithin('alone', 0);
    await this.#sampling;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#sampling;
    this.#session?.destroy();
  }

  get sessions(): readonly Session[] {
    return this.#session === null ? [] : [this.#session];
  }

  /** A batch begins that will take about so long. */
  begins(ms: number): void {
    this.#working = true;
    this.#batches += 1;
    this.#sampleWithin('beside', ms);
  }

  /** A batch has ended, well or not. */
  ends(): void {
    this.#working = false;
  }

  /** Nothing of ours will be under way for so long. */
  rests(ms: number): void {
    this.#sampleWithin('alone', ms);
  }

  /**
   * The share of the time that the run may work now.
   * @throws TargetError CONNECTION when the session that measures is gone
   */
  get dutyCycle(): number {
    const { dutyCycle, maxSlowdown } = this.#throttle();
    if (!this.#isWanted) return dutyCycle;
    if (this.#session?.isLost)
      throw new TargetError('CONNECTION', null, 'The session that measures the database is gone.', null);
    if (!this.#isUsed) return dutyCycle;
    return this.#isKnown ? this.#judge(dutyCycle, maxSlowdown).share : dutyCycle * UNKNOWN;
  }

  #judge(wanted: number, maxSlowdown: number): Judgement {
    const isStale = this.#judged?.throttle !== this.#throttle() || this.#fresh >= FRESH;
    if (this.#judged !== null && !isStale) return this.#judged;
    this.#fresh = 0;
    this.#judged = {
      throttle: this.#throttle(),
      share: affordableShare(wanted, this.#latencies, maxSlowdown),
      slowdown: slowdownAt(wanted, this.#latencies),
    };
    return this.#judged;
  }

  /** Why it works less than it was told to; null: it does not. */
  get reason(): string | null {
    const wanted = this.#throttle().dutyCycle;
    const share = this.dutyCycle;
    if (share >= wanted) return null;
    const instead = `working ${percent(share)} % of the time instead of ${percent(wanted)} %.`;
    if (!this.#isKnown) return `Learning how much others notice of the batches: ${instead}`;
    return `Others would have to wait ${this.#judged?.slowdown.toFixed(1) ?? '?'} times as long: ${instead}`;
  }

  get #isWanted(): boolean {
    return !isRestless(this.#throttle());
  }

  get #isKnown(): boolean {
    const { alone, beside } = this.#latencies;
    return alone.length >= LEAST && beside.length >= LEAST;
  }

  /** Measures once, at some moment of the coming milliseconds; one measurement at a time, and not too often. */
  #sampleWithin(kind: Kind, ms: number): void {
    const now = this.#clock.monotonicMs();
    const gap = this.#isKnown ? GAPS_MS.knowing : GAPS_MS.learning;
    if (this.#sampling !== null || !this.#isWanted || now - this.#sampledAt[kind] < gap) return;
    this.#sampledAt[kind] = now;
    this.#sampling = this.#sample(ms)
      .catch(() => undefined) // what can't be measured is not known; a lost session shows in dutyCycle
      .finally(() => {
        this.#sampling = null;
      });
  }

  async #sample(ms: number): Promise<void> {
    this.#session ??= await this.#connect();
    if (this.#clock.monotonicMs() - this.#askedAt > USED_MS) return this.#lookAround(this.#session);
    if (!this.#isUsed) return;
    await this.#clock.sleep(Math.random() * ms, this.#stopped.signal);
    if (this.#stopped.signal.aborted) return;
    const [working, batches] = [this.#working, this.#batches];
    const took = await probe(this.#session, this.#runId);
    const met = working || this.#working || this.#batches !== batches;
    remember(this.#latencies[met ? 'beside' : 'alone'], took);
    this.#fresh += 1;
  }

  async #lookAround(session: Session): Promise<void> {
    this.#isUsed = await isUsed(session);
    this.#askedAt = this.#clock.monotonicMs();
  }
}

function remember(latencies: number[], ms: number): void {
  latencies.push(ms);
  if (latencies.length > REMEMBERED) latencies.shift();
}

const percent = (share: number): string => (share * 100).toFixed(share < 0.1 ? 1 : 0);
