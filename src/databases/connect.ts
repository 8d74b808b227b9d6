import { DeclutterError, notFound } from '../errors.ts';
import { findDatabaseById, markUnreachable, type RegisteredDatabase } from '../store/databases.ts';
import type { Store } from '../store/open-store.ts';
import { type AddressPolicy, allowedAddress, type Resolve } from '../target/address.ts';
import { readIdentity } from '../target/identity.ts';
import { Session, type SessionSettings, type TargetAddress } from '../target/session.ts';
import { readReference, type SecretSources } from './secrets.ts';

export interface ConnectDeps {
  readonly store: Store;
  readonly policy: AddressPolicy;
  readonly secrets: SecretSources;
  /** For tests; DNS otherwise. */
  readonly resolve?: Resolve;
}

export type Connect = (databaseId: string, settings: SessionSettings) => Promise<Session>;

/** What reaching a database takes; registered or about to be. */
export type Reach = Pick<
  RegisteredDatabase,
  'id' | 'host' | 'port' | 'database' | 'user' | 'passwordRef' | 'passwordBox' | 'tls' | 'caRef'
>;

/**
 * Opens sessions on registered databases. The address is checked every time, since what a name means can change between two
 * look-ups, and so is whether the server is still the one that was registered.
 */
export function makeConnect(deps: ConnectDeps): Connect {
  return async (databaseId, settings) => {
    const database = await findDatabaseById(deps.store, databaseId);
    if (database === null) throw notFound('The database');
    try {
      const session = await openChecked(deps, database, settings);
      if (database.unreachable !== null) await markUnreachable(deps.store, database.id, null);
      return session;
    } catch (error) {
      if (error instanceof DeclutterError) await markUnreachable(deps.store, database.id, error.message);
      throw error;
    }
  };
}

async function openChecked(
  deps: ConnectDeps,
  database: RegisteredDatabase,
  settings: SessionSettings,
): Promise<Session> {
  const session = await openSession(deps, database, settings);
  try {
    await refuseOther(session, database);
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** @throws BAD_USER_INPUT for a host that is not allowed, TARGET_UNREACHABLE */
export async function openSession(
  deps: Omit<ConnectDeps, 'store'>,
  reach: Reach,
  settings: SessionSettings,
): Promise<Session> {
  return Session.open(await addressOf(deps, reach), settings);
}

async function addressOf(
  { policy, secrets, resolve }: Omit<ConnectDeps, 'store'>,
  reach: Reach,
): Promise<TargetAddress> {
  return {
    host: reach.host,
    ip: await allowedAddress(reach, policy, resolve),
    port: reach.port,
    database: reach.database,
    user: reach.user,
    password: () => passwordOf(reach, secrets),
    tls: reach.tls,
    ...(reach.caRef === null ? {} : { ca: await readReference(reach.caRef, secrets) }),
  };
}

/** Without a password of its own a database gets none: never one of this process's environment. */
async function passwordOf(reach: Reach, secrets: SecretSources): Promise<string> {
  if (reach.passwordRef !== null) return readReference(reach.passwordRef, secrets);
  if (reach.passwordBox === null) return '';
  if (secrets.box === null) throw noKey();
  return secrets.box.open(reach.passwordBox, reach.id);
}

export const noKey = () =>
  new DeclutterError(
    'CONFIGURATION',
    'Stored passwords need DECLUTTER_SECRET_KEY; use passwordRef, or set the key.',
  );

async function refuseOther(session: Session, database: RegisteredDatabase): Promise<void> {
  const identity = await readIdentity(session);
  if (
    identity.systemIdentifier === database.systemIdentifier &&
    identity.databaseOid === database.databaseOid
  )
    return;
  throw new DeclutterError(
    'PRECONDITION_FAILED',
    `What answers at ${database.host}:${database.port} is not the database that was registered as "${database.name}" ` +
      '(another server, or the database was made anew). Nothing was done.',
    { registered: database.systemIdentifier, found: identity.systemIdentifier },
  );
}
