import { DEFAULT_THROTTLE, type Throttle } from '../domain/run.ts';
import type { Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';

export async function setThrottle(store: Store, id: string, throttle: Throttle): Promise<void> {
  await store.prisma.run.update({ where: { id }, data: { throttle: storedThrottle(throttle) } });
}

export async function throttleOf(store: Store, id: string): Promise<Throttle> {
  const run = await store.prisma.run.findUniqueOrThrow({ where: { id }, select: { throttle: true } });
  return completeThrottle(run.throttle as unknown as Partial<Throttle>);
}

/** A run that an older version began lacks what was added since. */
export const completeThrottle = (stored: Partial<Throttle>): Throttle => ({ ...DEFAULT_THROTTLE, ...stored });

export const storedThrottle = (throttle: Throttle) => ({ ...throttle }) as unknown as Prisma.InputJsonObject;
