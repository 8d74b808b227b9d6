import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type { Principal } from '../domain/principal.ts';
import { Role } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import { type Permission, permissionsOf, rolesOf } from './permissions.ts';

/** Whom a token stands for, what it allows, and until when. */
export interface Authenticated {
  readonly principal: Principal;
  readonly permissions: ReadonlySet<Permission>;
  readonly expiresAt: Date;
}

/** @throws UNAUTHENTICATED; AUTHORIZATION_SERVER_UNAVAILABLE when the issuer's keys cannot be had */
export type Authenticate = (token: string) => Promise<Authenticated>;

/** An OAuth 2 issuer whose access tokens (RFC 9068) are trusted. */
export interface TrustedIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: JWTVerifyGetKey;
  /** Clients of the embedded issuer that stand for people, and so may approve. */
  readonly people: ReadonlySet<string>;
}

const CLOCK_TOLERANCE_S = 5;
/** A token that lives longer than this is refused, whoever signed it. */
const MAX_LIFE_S = 24 * 3600;
const MAX_TOKEN_LENGTH = 8_192;

export function makeAuthenticate(trusted: TrustedIssuer, now: () => Date): Authenticate {
  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) throw refused('is too long');
    const claims = await verify(token, trusted, now());
    if (claims.cnf !== undefined) throw refused('is bound to a key or certificate, which is not supported');
    const permissions = permissionsOf(scopesOf(claims), rolesIn(claims));
    if (permissions.size === 0)
      throw refused('has none of the scopes declutter:read, plan, execute, approve, admin, audit');
    return {
      principal: principalOf(claims, permissions, trusted.people),
      permissions,
      expiresAt: new Date(claims.exp * 1000),
    };
  };
}

const refused = (why: string, cause?: unknown) =>
  new DeclutterError('UNAUTHENTICATED', `The access token ${why}.`, {}, { cause });

interface AccessTokenClaims extends JWTPayload {
  readonly sub: string;
  readonly exp: number;
  readonly iat: number;
  readonly client_id: string;
  readonly cnf?: unknown;
}

async function verify(
  token: string,
  { issuer, audience, keys }: TrustedIssuer,
  now: Date,
): Promise<AccessTokenClaims> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      typ: 'at+jwt',
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
      clockTolerance: CLOCK_TOLERANCE_S,
      maxTokenAge: MAX_LIFE_S, // also what refuses a token from the future
      currentDate: now,
    });
    return checkClaims(payload);
  } catch (error) {
    if (error instanceof DeclutterError) throw error;
    throw refused(reasonOf(error), error);
  }
}

function checkClaims(claims: JWTPayload): AccessTokenClaims {
  const { sub, exp, iat, jti, client_id: clientId } = claims;
  const texts = [sub, jti, clientId];
  if (!texts.every((text) => typeof text === 'string' && text !== ''))
    throw refused('has a claim of the wrong type');
  if (exp === undefined || iat === undefined || exp - iat > MAX_LIFE_S)
    throw refused('lives longer than a day');
  return claims as AccessTokenClaims;
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'has expired';
  if (error instanceof errors.JWTClaimValidationFailed)
    return `is not for this API: its "${error.claim}" is not as it must be`;
  return 'is not valid';
}

/** One text with blanks between, as RFC 6749 has it; anything else gives no scopes. */
const scopesOf = ({ scope }: JWTPayload): string[] => (typeof scope === 'string' ? scope.split(' ') : []);

/** For issuers that speak of roles: the claim "roles" with our four words, prefixed (declutter:OPERATOR). */
function rolesIn({ roles }: JWTPayload): Role[] {
  return Array.isArray(roles)
    ? Object.values(Role).filter((role) => roles.includes(`declutter:${role}`))
    : [];
}

function principalOf(
  claims: AccessTokenClaims,
  permissions: ReadonlySet<Permission>,
  people: ReadonlySet<string>,
): Principal {
  const isMachine = isOfMachine(claims);
  return {
    subject: claims.sub,
    clientId: claims.client_id,
    roles: rolesOf(permissions),
    isMachine,
    mayApprove: !isMachine || people.has(claims.client_id),
  };
}

/** Tokens of client credentials, as RFC 9068, Auth0 and Keycloak mark them. */
function isOfMachine({
  sub,
  client_id: clientId,
  gty,
  preferred_username: name,
}: AccessTokenClaims): boolean {
  const isServiceAccount = typeof name === 'string' && name.startsWith('service-account-');
  return (
    sub === clientId || sub === `${clientId}@clients` || gty === 'client-credentials' || isServiceAccount
  );
}
