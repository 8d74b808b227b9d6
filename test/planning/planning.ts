import type { Replica } from '../../src/analysis/read-replicas.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { makeConnect } from '../../src/databases/connect.ts';
import { makeDatabases } from '../../src/databases/database-use-cases.ts';
import type { Principal } from '../../src/domain/principal.ts';
import type { Environment } from '../../src/domain/words.ts';
import { makeCheckPlanFresh } from '../../src/planning/check-plan.ts';
import { makePlans } from '../../src/planning/plan-use-cases.ts';
import { makeProtection } from '../../src/planning/protection-use-cases.ts';
import type { Store } from '../../src/store/open-store.ts';
import { testDatabase, type TestDatabase, testStore } from '../support/postgres.ts';
import type { Version } from '../support/installations.ts';

export const principal = (subject: string, change: Partial<Principal> = {}): Principal => ({
  subject,
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: true,
  ...change,
});

export const OPERATOR = principal('olga');
export const APPROVER = principal('abel', { roles: ['APPROVER'] });

export interface Planning {
  readonly store: Store;
  readonly target: TestDatabase;
  readonly databaseId: string;
  readonly plans: ReturnType<typeof makePlans>;
  readonly protection: ReturnType<typeof makeProtection>;
  readonly checkFresh: ReturnType<typeof makeCheckPlanFresh>;
  close(): Promise<void>;
}

/** A store and a target, registered as "shop" with the tests' own superuser unless another role is given; $db and $password stand in sql for its own. */
export async function makePlanning(
  options: {
    environment?: Environment;
    version?: Version;
    /** another than one of that version */
    database?: () => Promise<TestDatabase>;
    budgetMs?: number;
    role?: string;
    sql?: string;
    clock?: Clock;
    replicas?: readonly Replica[];
  } = {},
): Promise<Planning> {
  const control = await testStore();
  const target = await (options.database ?? (() => testDatabase(options.version)))();
  const { store } = control;
  const { host, port, user, password } = target.address;
  if (options.sql !== undefined) {
    await target.run(options.sql.replaceAll('$db', target.name).replaceAll('$password', await password()));
  }
  const secrets = { env: { DECLUTTER_TARGET_PASSWORD: await password() }, folders: [], box: null };
  const base = { store, policy: { hosts: [], embedded: { host, port } }, secrets };
  const view = await makeDatabases({ ...base, takeFirstSnapshot: async () => undefined }).register(
    {
      name: 'shop',
      host,
      port,
      database: target.name,
      user: options.role?.replaceAll('$db', target.name) ?? user,
      passwordRef: 'env:DECLUTTER_TARGET_PASSWORD',
      tls: 'DISABLE',
      environment: options.environment ?? 'DEVELOPMENT',
      allowSuperuser: options.role === undefined,
    },
    principal('ada', { roles: ['ADMIN'] }),
  );
  const deps = {
    store,
    connect: makeConnect(base),
    clock: options.clock ?? systemClock,
    replicas: () => Promise.resolve(options.replicas ?? []),
    archiveStores: new Map([storeNamed('local', null), storeNamed('away', 'The folder is away.')]),
    ...(options.budgetMs === undefined ? {} : { budgetMs: options.budgetMs }),
  };
  return {
    store,
    target,
    databaseId: view.id,
    plans: makePlans(deps),
    protection: makeProtection(deps),
    checkFresh: makeCheckPlanFresh(deps),
    close: async () => {
      await target.drop();
      await control.close();
    },
  };
}

const storeNamed = (name: string, trouble: string | null) =>
  [name, { kind: 'FILES' as const, trouble: () => Promise.resolve(trouble) }] as const;
