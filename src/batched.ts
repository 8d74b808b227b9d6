interface Call<Key, Value> {
  readonly key: Key;
  readonly resolve: (value: Value) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * What the items of a list each ask for within one turn of the event loop, with the same options, is loaded at once.
 * @param load answers for each key, in the same order
 */
export function batched<Key, Options, Value>(
  load: (keys: readonly Key[], options: Options) => Promise<readonly Value[]>,
): (key: Key, options: Options) => Promise<Value> {
  const waiting = new Map<string, Call<Key, Value>[]>();
  const flush = async (same: string, options: Options, calls: readonly Call<Key, Value>[]) => {
    waiting.delete(same);
    try {
      const values = await load(
        calls.map((call) => call.key),
        options,
      );
      calls.forEach((call, i) => call.resolve(values[i] as Value));
    } catch (error) {
      for (const call of calls) call.reject(error);
    }
  };
  return (key, options) =>
    new Promise((resolve, reject) => {
      const same = JSON.stringify(options);
      const calls = waiting.get(same) ?? [];
      calls.push({ key, resolve, reject });
      if (waiting.has(same)) return;
      waiting.set(same, calls);
      setImmediate(() => void flush(same, options, calls));
    });
}
