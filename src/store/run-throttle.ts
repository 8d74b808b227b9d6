import { DEFAULT_THROTTLE, type Throttle } from '../domain/run.ts';
import type { Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';

/** The worker hears of it at once. */
export async function setThrottle({ prisma }: Store, id: string, throttle: Throttle): Promise<void> {
  await prisma.$transaction([
    prisma.run.update({ where: { id }, data: { throttle: storedThrottle(throttle) } }),
    tell(prisma, id),
  ]);
}

/** Has the run's worker look what is asked of it. */
export const tellWorker = async ({ prisma }: Store, runId: string): Promise<void> => {
  await tell(prisma, runId);
};

const tell = (prisma: Store['prisma'], runId: string) =>
  prisma.$executeRaw`SELECT pg_notify('declutter_run', ${runId}::text)`;

export async function throttleOf(store: Store, id: string): Promise<Throttle> {
  const run = await store.prisma.run.findUniqueOrThrow({ where: { id }, select: { throttle: true } });
  return completeThrottle(run.throttle as unknown as Partial<Throttle>);
}

/** A run that an older version began lacks what was added since. */
export const completeThrottle = (stored: Partial<Throttle>): Throttle => ({ ...DEFAULT_THROTTLE, ...stored });

export const storedThrottle = (throttle: Throttle) => ({ ...throttle }) as unknown as Prisma.InputJsonObject;
