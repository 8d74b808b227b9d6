/**
 * An async generator that waits for its next item hears of return() only after that item. So that a stream whose client has
 * gone ends at once, return() raises the signal first, which ends the wait.
 */
export function untilReturned<T>(open: (signal: AbortSignal) => AsyncIterable<T>): AsyncIterableIterator<T> {
  const gone = new AbortController();
  const items = open(gone.signal)[Symbol.asyncIterator]();
  const stream: AsyncIterableIterator<T> = {
    next: () => items.next(),
    return: async () => {
      gone.abort();
      await items.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}
