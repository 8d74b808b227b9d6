/** Time and rest come in as an argument, so that tests need not wait. */
export interface Clock {
  now(): Date;
  /** Milliseconds from an arbitrary start; never jumps when the wall clock is set. */
  monotonicMs(): number;
  /** Resolves after ms milliseconds, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      // A timer of 0 ms takes a whole one: too long between batches of a few.
      if (ms <= 0 || signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    }),
};
