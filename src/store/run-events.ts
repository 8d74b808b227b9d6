import type { Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { type Page, pageOf, type PageRequest, pageSize, pageStart } from './page.ts';
import type { NewEvent } from './runs.ts';

export interface RunEventView {
  readonly sequence: number;
  readonly at: Date;
  readonly kind: string;
  readonly message: string;
  readonly data: Prisma.JsonValue;
}

/** Adds an event with the next number; the number is given out by the run's row, so that none is ever given twice. */
export async function appendEvent(store: Store, runId: string, event: NewEvent): Promise<void> {
  await store.prisma.$executeRaw`
    WITH counted AS (UPDATE run SET "eventCount" = "eventCount" + 1 WHERE id = ${runId}::uuid RETURNING id, "eventCount")
    INSERT INTO run_event ("runId", sequence, kind, message, data)
    SELECT id, "eventCount", ${event.kind}, ${event.message}, ${JSON.stringify(event.data ?? {})}::jsonb FROM counted`;
}

/** The first of its kind. */
export async function findEvent(store: Store, runId: string, kind: string): Promise<RunEventView | null> {
  return store.prisma.runEvent.findFirst({ where: { runId, kind }, orderBy: { sequence: 'asc' } });
}

export async function listEvents(
  store: Store,
  runId: string,
  page: PageRequest,
): Promise<Page<RunEventView>> {
  const start = pageStart(page, ['sequence']);
  const events = await eventsAfter(store, runId, Number(start?.[0] ?? 0), pageSize(page) + 1);
  return pageOf(events, page, ({ sequence }) => [String(sequence)]);
}

export async function eventsAfter(
  store: Store,
  runId: string,
  after: number,
  take: number,
): Promise<RunEventView[]> {
  return store.prisma.runEvent.findMany({
    where: { runId, sequence: { gt: after } },
    orderBy: { sequence: 'asc' },
    take,
    select: { sequence: true, at: true, kind: true, message: true, data: true },
  });
}
