import type { Store } from './open-store.ts';

export interface MaintenanceStopView {
  readonly on: boolean;
  readonly reason: string | null;
  readonly since: Date | null;
  readonly by: string | null;
}

const OFF: MaintenanceStopView = { on: false, reason: null, since: null, by: null };
const ONLY_ROW = { id: 1 };

export async function readMaintenanceStop({ prisma }: Store): Promise<MaintenanceStopView> {
  const row = await prisma.maintenanceStop.findUnique({ where: ONLY_ROW });
  return row === null ? OFF : { on: row.on, reason: row.reason, since: row.since, by: row.by };
}

export async function writeMaintenanceStop(
  store: Store,
  stop: { readonly on: boolean; readonly reason: string; readonly since: Date; readonly by: string },
): Promise<MaintenanceStopView> {
  await store.prisma.maintenanceStop.upsert({
    where: ONLY_ROW,
    create: { ...ONLY_ROW, ...stop },
    update: stop,
  });
  return readMaintenanceStop(store);
}
