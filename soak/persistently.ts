import { setTimeout as rest } from 'node:timers/promises';

/** Tries again while one of the servers is away. */
export async function persistently<T>(work: () => Promise<T>, most = 30): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === most) throw error;
      await rest(500);
    }
  }
}
