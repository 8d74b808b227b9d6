import { randomUUID } from 'node:crypto';
import { DeclutterError, notFound } from '../errors.ts';
import type { Principal } from '../domain/principal.ts';
import {
  changeDatabase,
  type DatabaseSummary,
  deleteDatabase,
  findDatabase,
  insertDatabase,
  listDatabases,
  markUnreachable,
  readStoreIdentity,
  refuseTaken,
} from '../store/databases.ts';
import { type Capabilities, readCapabilities } from '../target/capabilities.ts';
import { readIdentity } from '../target/identity.ts';
import type { RegisterDatabaseInput, UpdateDatabaseInput } from '../domain/database-inputs.ts';
import type { DatabaseIdentity } from '../domain/plan.ts';
import { checkDatabase, CHECK_SETTINGS, type DatabaseCheck } from './check-database.ts';
import { type ConnectDeps, noKey, openSession, type Reach } from './connect.ts';
import { checkChange, checkRegistration } from './database-input.ts';
import { refuseUnsafe } from './refuse-unsafe.ts';
import { allowedAddress, canonicalHost } from '../target/address.ts';

/** What the API tells of a database: remembered figures, and whether it answered last time. */
export type DatabaseView = Pick<
  DatabaseSummary,
  'id' | 'name' | 'environment' | 'serverVersion' | 'sizeBytes' | 'wastedBytes' | 'snapshotAt' | 'unreachable'
>;

export interface DatabaseDeps extends ConnectDeps {
  readonly takeFirstSnapshot: (databaseId: string) => Promise<void>;
}

export function makeDatabases(deps: DatabaseDeps) {
  return {
    list: async (): Promise<DatabaseView[]> => (await listDatabases(deps.store)).map(viewOf),
    find: async (name: string): Promise<DatabaseView | null> => {
      const database = await findDatabase(deps.store, name);
      return database === null ? null : viewOf(database);
    },
    register: (input: RegisterDatabaseInput, by: Principal) => register(deps, input, by),
    update: (name: string, input: UpdateDatabaseInput) => update(deps, name, input),
    remove: async (name: string): Promise<boolean> => {
      await deleteDatabase(deps.store, (await registered(deps, name)).id, name);
      return true;
    },
    check: (name: string) => check(deps, name),
  };
}

async function register(
  deps: DatabaseDeps,
  input: RegisterDatabaseInput,
  by: Principal,
): Promise<DatabaseView> {
  checkRegistration(input, deps.secrets);
  await checkReplicaHosts(deps, input.replicas ?? []);
  if ((await findDatabase(deps.store, input.name)) !== null) {
    throw new DeclutterError('CONFLICT', `A database named "${input.name}" is registered already.`);
  }
  const reach = reachOf(deps, randomUUID(), input);
  const { identity, capabilities } = await look(deps, reach);
  refuseUnsafe({ identity, capabilities }, await readStoreIdentity(deps.store), input.allowSuperuser);
  await refuseTaken(deps.store, { name: input.name, ...identity });
  await insertDatabase(deps.store, {
    ...reach,
    name: input.name,
    environment: input.environment,
    allowSuperuser: input.allowSuperuser,
    replicas: input.replicas ?? [],
    systemIdentifier: identity.systemIdentifier,
    databaseOid: identity.databaseOid,
    serverVersion: capabilities.version,
    createdBy: by.subject,
  });
  await firstSnapshot(deps, reach.id);
  return viewOf(await registered(deps, input.name));
}

/** The database stays registered when its first figures cannot be taken; the reason is shown with it. */
async function firstSnapshot(deps: DatabaseDeps, id: string): Promise<void> {
  try {
    await deps.takeFirstSnapshot(id);
  } catch (error) {
    if (!(error instanceof DeclutterError)) throw error;
    await markUnreachable(deps.store, id, `The first snapshot failed: ${error.message}`);
  }
}

async function update(deps: DatabaseDeps, name: string, input: UpdateDatabaseInput): Promise<DatabaseView> {
  checkChange(input, deps.secrets);
  await checkReplicaHosts(deps, input.replicas ?? []);
  const before = await registered(deps, name);
  const reach = { ...before, ...changedReach(deps, before.id, input) };
  const { identity, capabilities } = await look(deps, reach);
  if (identity.systemIdentifier !== before.systemIdentifier || identity.databaseOid !== before.databaseOid) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      'Another database answers at the new address (its system identifier or OID differs). Register it under a name of its own.',
    );
  }
  refuseUnsafe({ identity, capabilities }, await readStoreIdentity(deps.store), before.allowSuperuser);
  await changeDatabase(deps.store, before.id, {
    ...changedReach(deps, before.id, input),
    ...(input.environment == null ? {} : { environment: input.environment }),
    ...(input.replicas == null ? {} : { replicas: input.replicas }),
    serverVersion: capabilities.version,
  });
  await markUnreachable(deps.store, before.id, null);
  return viewOf(await registered(deps, name));
}

async function check(deps: DatabaseDeps, name: string): Promise<DatabaseCheck> {
  const database = await registered(deps, name);
  return checkDatabase(database, {
    primary: () => openSession(deps, database, CHECK_SETTINGS),
    replica: (replica) => openSession(deps, { ...database, ...replica }, CHECK_SETTINGS),
  });
}

async function registered(deps: DatabaseDeps, name: string): Promise<DatabaseSummary> {
  const database = await findDatabase(deps.store, name);
  if (database === null) throw notFound(`The database "${name}"`);
  return database;
}

async function look(
  deps: DatabaseDeps,
  reach: Reach,
): Promise<{ identity: DatabaseIdentity; capabilities: Capabilities }> {
  const session = await openSession(deps, reach, CHECK_SETTINGS);
  try {
    return { identity: await readIdentity(session), capabilities: await readCapabilities(session) };
  } finally {
    await session.close();
  }
}

async function checkReplicaHosts(
  deps: DatabaseDeps,
  replicas: readonly { host: string; port: number }[],
): Promise<void> {
  for (const replica of replicas) await allowedAddress(replica, deps.policy, deps.resolve);
}

const reachOf = (deps: DatabaseDeps, id: string, input: RegisterDatabaseInput): Reach => ({
  id,
  host: canonicalHost(input.host),
  port: input.port,
  database: input.database,
  user: input.user,
  tls: input.tls,
  caRef: input.caRef ?? null,
  passwordRef: input.passwordRef ?? null,
  passwordBox: input.password == null ? null : seal(deps, input.password, id),
});

/** A new password or reference takes the place of both old ones. */
function changedReach(deps: DatabaseDeps, id: string, input: UpdateDatabaseInput): Partial<Reach> {
  return {
    ...(input.host == null ? {} : { host: canonicalHost(input.host) }),
    ...(input.port == null ? {} : { port: input.port }),
    ...(input.user == null ? {} : { user: input.user }),
    ...(input.tls == null ? {} : { tls: input.tls }),
    ...(input.caRef == null ? {} : { caRef: input.caRef }),
    ...(input.passwordRef == null ? {} : { passwordRef: input.passwordRef, passwordBox: null }),
    ...(input.password == null ? {} : { passwordRef: null, passwordBox: seal(deps, input.password, id) }),
  };
}

/** The database's id is bound into the box: moved to another row, it does not open. */
function seal({ secrets }: DatabaseDeps, password: string, id: string): Buffer {
  if (secrets.box === null) throw noKey();
  return secrets.box.seal(password, id);
}

const viewOf = ({
  id,
  name,
  environment,
  serverVersion,
  sizeBytes,
  wastedBytes,
  snapshotAt,
  unreachable,
}: DatabaseSummary): DatabaseView => ({
  id,
  name,
  environment,
  serverVersion,
  sizeBytes,
  wastedBytes,
  snapshotAt,
  unreachable,
});
