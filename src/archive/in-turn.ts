/** Does one thing after the other, whatever becomes of those before: a session takes one statement at a time. */
export function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = Promise.allSettled([last]).then(work);
    last = next;
    return next;
  };
}
