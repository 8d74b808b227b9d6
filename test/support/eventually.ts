import { setTimeout as rest } from 'node:timers/promises';

const PATIENCE_MS = 30_000;

/** Looks again and again until it is so. @throws after half a minute, with what was waited for */
export async function eventually(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await look()); await rest(10))
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`);
}
