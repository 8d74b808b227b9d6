import type { Principal } from '../domain/principal.ts';
import { Role } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import { fillShop } from '../demo/fill-shop.ts';
import { shopOf } from '../demo/shop-rows.ts';
import type { UseCases } from '../graphql/context.ts';
import type { Embedded, EmbeddedDatabase } from '../store/embedded-postgres.ts';
import { findDatabase } from '../store/databases.ts';
import type { Parts } from './parts.ts';

const SHOP = 'shop';

/** The API waits for it at its first start, so it is smaller than the shop of the demo. */
const SHARE_TO_TRY = 0.4;

const SETUP: Principal = {
  subject: 'declutter',
  clientId: null,
  roles: [Role.ADMIN],
  isMachine: true,
  mayApprove: false,
};

/** Makes the cluttered shop the first time, and registers it as a database to try things on. */
export async function provideShop(parts: Parts, { databases }: Pick<UseCases, 'databases'>): Promise<void> {
  if (parts.embedded === null || !parts.config.demo) return;
  const shop = await makeShop(parts, parts.embedded, SHARE_TO_TRY);
  const registered = await findDatabase(parts.store, SHOP);
  if (registered === null) {
    await databases
      .register(
        { ...shop, name: SHOP, tls: 'DISABLE', environment: 'PRODUCTION', allowSuperuser: false },
        SETUP,
      )
      .catch((error: unknown) => {
        if (!(error instanceof DeclutterError) || error.code !== 'CONFLICT') throw error;
        parts.log.info('the demo shop is registered under another name');
      });
  } else if (registered.port !== shop.port && registered.host === shop.host) {
    await databases.update(SHOP, { port: shop.port }, SETUP); // the server had to take another port
  }
}

/** The shop that is there already, or one of that share of the full size. */
export function makeShop({ clock, log }: Parts, embedded: Embedded, share = 1): Promise<EmbeddedDatabase> {
  return embedded.createDatabase(SHOP, async (draft) => {
    log.info('making the demo shop; this happens once');
    await fillShop(draft, { now: clock.now(), size: shopOf(share) });
  });
}
