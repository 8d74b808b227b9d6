import { Session, type SessionSettings, type TargetAddress } from '../target/session.ts';
import { type SeedOptions, seedShop } from './seed-shop.ts';

/** How to log in to the database that becomes the shop; the role may create everything in its schema public. */
export interface ShopLogin {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

const NO_LIMITS: SessionSettings = {
  applicationName: 'declutter/demo',
  readOnly: false,
  lockTimeoutMs: 0,
  statementTimeoutMs: 0,
  idleInTransactionTimeoutMs: 0,
  transactionTimeoutMs: 0,
};

/** One for each core of a small machine. */
const SESSIONS = 2;

/** Makes the cluttered shop in an empty database on this machine. */
export async function fillShop(login: ShopLogin, options: SeedOptions): Promise<void> {
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => openShop(login)));
  try {
    await seedShop(sessions, options);
  } finally {
    await Promise.all(sessions.map((session) => session.close()));
  }
}

/** A session without limits, for making the shop and for counting in it. */
export const openShop = (login: ShopLogin): Promise<Session> => Session.open(addressOf(login), NO_LIMITS);

const addressOf = ({ host, port, database, user, password }: ShopLogin): TargetAddress => ({
  host,
  ip: host,
  port,
  database,
  user,
  password: () => Promise.resolve(password),
  tls: 'DISABLE',
});
