/** What pg_repack's lines mean: it ends with 0 also where it has given up, and has no other way to say why. */
const MEANINGS = {
  LOCKED:
    /lock_exclusive\(\) failed|timed out, do not cancel|unsafe queries remain|Another pg_repack command/,
  RIGHTS: /permission denied|must be (a )?(superuser|owner)/i,
  RESOURCE: /No space left on device|could not extend|out of memory|too many clients/i,
  CONNECTION: /server closed the connection|terminating connection|connection to server/i,
} as const;

export type RepackTrouble = keyof typeof MEANINGS;

const WAITING = /Waiting for \d+ transactions? to finish\. First PID: (\d+)/;

/** Listens to pg_repack. Its lines may hold values of rows: what they mean is kept, and not what they say. */
export class RepackWords {
  #trouble: RepackTrouble | null = null;
  #waitsFor: number | null = null;

  hear(line: string): void {
    const pid = WAITING.exec(line)?.[1];
    if (pid !== undefined) this.#waitsFor = Number(pid);
    for (const [trouble, pattern] of Object.entries(MEANINGS) as [RepackTrouble, RegExp][]) {
      if (pattern.test(line)) this.#trouble ??= trouble;
    }
  }

  /** The first that it has met; null: none that is known. */
  get trouble(): RepackTrouble | null {
    return this.#trouble;
  }

  /** The session whose transaction it has waited for last. */
  get waitsFor(): number | null {
    return this.#waitsFor;
  }
}
