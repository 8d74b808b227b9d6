import { DeclutterError } from '../errors.ts';
import type { DatabaseIdentity } from '../domain/plan.ts';
import { type Capabilities, OLDEST_VERSION } from '../target/capabilities.ts';

/** A database that we must not or cannot look after is refused before it is registered. */
export function refuseUnsafe(
  found: { readonly identity: DatabaseIdentity; readonly capabilities: Capabilities },
  store: { readonly systemIdentifier: string; readonly databaseOid: number },
  allowSuperuser: boolean,
): void {
  const { identity, capabilities } = found;
  if (identity.systemIdentifier === store.systemIdentifier && identity.databaseOid === store.databaseOid) {
    throw refusal(
      'UNSAFE_OPERATION',
      'CONTROL_STORE',
      "This is Declutter's own control store; it does not clean up itself.",
    );
  }
  if (capabilities.versionNumber < OLDEST_VERSION) {
    throw refusal(
      'PRECONDITION_FAILED',
      'VERSION',
      `PostgreSQL ${capabilities.version} is too old; 14 or newer is needed.`,
    );
  }
  if (capabilities.isPooled) throw refusal('PRECONDITION_FAILED', 'POOLER', POOLER);
  const powers = excessivePowers(capabilities);
  if (powers.length > 0 && !allowSuperuser) {
    throw refusal(
      'UNSAFE_OPERATION',
      'ROLE_TOO_POWERFUL',
      `The role "${capabilities.role.name}" has ${powers.join(', ')}, more than Declutter needs. Use a role of its own, ` +
        'or register with allowSuperuser: true.',
    );
  }
}

export const POOLER =
  'A connection pooler answers at this address: it would share our settings and locks with others. Give the address of PostgreSQL itself.';

export function excessivePowers({ role }: Capabilities): string[] {
  const powers: [boolean, string][] = [
    [role.superuser, 'SUPERUSER'],
    [role.bypassRls, 'BYPASSRLS'],
    [role.createRole, 'CREATEROLE'],
    [role.replication, 'REPLICATION'],
  ];
  return powers.filter(([has]) => has).map(([, power]) => power);
}

const refusal = (code: 'UNSAFE_OPERATION' | 'PRECONDITION_FAILED', reason: string, message: string) =>
  new DeclutterError(code, message, { reason });
