import type { HeldTable } from '../domain/held-tables.ts';
import { holdsOn, type HoldView, releasedOf } from '../store/holds.ts';
import type { Store } from '../store/open-store.ts';
import { listLedgerHolds, removeHolds, writeHolds } from '../target/ledger-holds.ts';
import type { Session } from '../target/session.ts';

/**
 * The ledger's holds as the control store has them, before the first batch: those that were placed before there was a ledger,
 * and without those that were released. Released is looked up last, and only what surely was is removed: a hold that comes
 * meanwhile stays.
 */
export async function syncHolds(
  store: Store,
  session: Session,
  databaseId: string,
  tables: readonly HeldTable[],
): Promise<void> {
  if (tables.length === 0) return;
  await session.transaction(async () => {
    const inForce = await holdsOn(store, databaseId, tables);
    const listed = await listLedgerHolds(session);
    const missing = inForce.filter(({ id }) => !listed.includes(id));
    await writeHolds(
      session,
      missing.map((hold) => ({ ...hold, oid: tables.find(isOn(hold))?.oid ?? null })),
    );
    const released = await releasedOf(store, [...listed, ...missing.map(({ id }) => id)]);
    if (released.length > 0) await removeHolds(session, released);
  });
}

const isOn =
  (hold: HoldView) =>
  ({ schema, name }: HeldTable): boolean =>
    schema === hold.schema && name === hold.table;
