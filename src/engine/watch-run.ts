import type { Clock } from '../clock.ts';
import { hasEnded, needsSomebody } from '../domain/run.ts';
import type { Store } from '../store/open-store.ts';
import { eventsAfter, type RunEventView } from '../store/run-events.ts';
import { requireRun, type RunView } from '../store/runs.ts';
import { badInput } from '../errors.ts';

const LOOK_MS = 250;
const MAX_WAIT_MS = 25_000;
const EVENTS_AT_ONCE = 100;

/** Answers as soon as the run has ended or needs somebody, or after timeoutMs. */
export async function waitForRun(
  deps: { store: Store; clock: Clock },
  id: string,
  timeoutMs: number,
): Promise<RunView> {
  if (!(timeoutMs >= 0 && timeoutMs <= MAX_WAIT_MS))
    throw badInput(`timeoutMs must be from 0 to ${MAX_WAIT_MS}.`);
  const until = deps.clock.monotonicMs() + timeoutMs;
  for (;;) {
    const run = await requireRun(deps.store, id);
    const left = until - deps.clock.monotonicMs();
    if (needsSomebody(run.state) || left <= 0) return run;
    await deps.clock.sleep(Math.min(LOOK_MS, left));
  }
}

/** The events after the given number, then each as it comes, until the run has ended. Events are rows: none is missed or doubled. */
export async function* watchRun(
  deps: { store: Store; clock: Clock },
  id: string,
  after: number | null,
  signal?: AbortSignal,
): AsyncGenerator<RunEventView> {
  let last = after ?? 0;
  while (!signal?.aborted) {
    // The state is read before the events: an end that comes in between is seen in the next round.
    const ended = hasEnded((await requireRun(deps.store, id)).state);
    const events = await eventsAfter(deps.store, id, last, EVENTS_AT_ONCE);
    yield* events;
    last = events.at(-1)?.sequence ?? last;
    if (ended && events.length < EVENTS_AT_ONCE) return;
    if (events.length < EVENTS_AT_ONCE) await deps.clock.sleep(LOOK_MS, signal);
  }
}
