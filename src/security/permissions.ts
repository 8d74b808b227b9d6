import { Role } from '../domain/words.ts';

/** What a token may do. A token carries them as scopes (declutter:read ...) or, through its roles, in bundles. */
export const PERMISSIONS = ['read', 'plan', 'execute', 'approve', 'admin', 'audit'] as const;
export type Permission = (typeof PERMISSIONS)[number];

const BY_ROLE: Readonly<Record<Role, readonly Permission[]>> = {
  VIEWER: ['read'],
  OPERATOR: ['read', 'plan', 'execute'],
  APPROVER: ['read', 'approve'],
  ADMIN: PERMISSIONS,
};

const PREFIX = 'declutter:';

export const scopeOf = (permission: Permission): string => `${PREFIX}${permission}`;

export const ALL_SCOPES: readonly string[] = PERMISSIONS.map(scopeOf);

export const scopesOfRole = (role: Role): string => BY_ROLE[role].map(scopeOf).join(' ');

/** Exact names only: a look-alike letter, another case or an unknown scope gives nothing. */
export function permissionsOf(scopes: readonly string[], roles: readonly Role[]): ReadonlySet<Permission> {
  const byScope = PERMISSIONS.filter((permission) => scopes.includes(scopeOf(permission)));
  return new Set([...byScope, ...roles.flatMap((role) => BY_ROLE[role])]);
}

/** The roles whose every permission is held, without those that a greater one implies. */
export function rolesOf(permissions: ReadonlySet<Permission>): Role[] {
  const held = Object.values(Role).filter((role) =>
    BY_ROLE[role].every((permission) => permissions.has(permission)),
  );
  if (held.includes(Role.ADMIN)) return [Role.ADMIN];
  const greater = held.filter((role) => role !== Role.VIEWER);
  return greater.length > 0 ? greater : held;
}

/** The least role that has the permission, for people to read. */
export const roleFor = (permission: Permission): Role =>
  Object.values(Role).find((role) => BY_ROLE[role].includes(permission)) ?? Role.ADMIN;
