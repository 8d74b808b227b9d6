import { Role } from './words.ts';

/** Who acts: a person or a machine, as the token says. */
export interface Principal {
  readonly subject: string;
  readonly clientId: string | null;
  readonly roles: readonly Role[];
  /** A token of client credentials. Never approves, except the embedded issuer's approver and admin. */
  readonly isMachine: boolean;
  /** false for machines, but for those of the embedded issuer that stand for people */
  readonly mayApprove: boolean;
}

const IMPLIED: Readonly<Record<Role, readonly Role[]>> = {
  VIEWER: [Role.VIEWER],
  OPERATOR: [Role.OPERATOR, Role.VIEWER],
  APPROVER: [Role.APPROVER, Role.VIEWER],
  ADMIN: [Role.ADMIN, Role.OPERATOR, Role.APPROVER, Role.VIEWER],
};

export const hasRole = (principal: Principal, role: Role): boolean =>
  principal.roles.some((held) => IMPLIED[held].includes(role));
