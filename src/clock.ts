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
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    }),
};
