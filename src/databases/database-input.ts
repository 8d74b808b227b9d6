import { badInput } from '../errors.ts';
import { checkIdentifier } from '../domain/identifier.ts';
import type { RegisterDatabaseInput, Replica, UpdateDatabaseInput } from '../domain/database-inputs.ts';
import { canonicalHost } from '../target/address.ts';
import { checkReference, type SecretSources } from './secrets.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const MAX_REPLICAS = 16;
const MAX_PASSWORD = 1_000;

/** Checks what can be checked without asking anybody. @throws BAD_USER_INPUT */
export function checkRegistration(input: RegisterDatabaseInput, sources: SecretSources): void {
  if (!NAME.test(input.name)) {
    throw badInput(
      'The name must be 1 to 63 letters, digits, dots, dashes or underscores, and begin with a letter or digit.',
    );
  }
  checkIdentifier('database', input.database);
  checkIdentifier('user', input.user);
  checkChange(input, sources);
}

/** @throws BAD_USER_INPUT */
export function checkChange(input: UpdateDatabaseInput, sources: SecretSources): void {
  if (input.host != null) canonicalHost(input.host);
  if (input.port != null) checkPort(input.port);
  if (input.user != null) checkIdentifier('user', input.user);
  if (input.password != null && input.passwordRef != null)
    throw badInput('Give password or passwordRef, not both.');
  if (input.password != null) checkPassword(input.password);
  for (const reference of [input.passwordRef, input.caRef])
    if (reference != null) checkReference(reference, sources);
  checkReplicas(input.replicas ?? []);
}

function checkReplicas(replicas: readonly Replica[]): void {
  if (replicas.length > MAX_REPLICAS) throw badInput(`At most ${MAX_REPLICAS} replicas can be named.`);
  for (const { host, port } of replicas) {
    canonicalHost(host);
    checkPort(port);
  }
}

function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw badInput('The port must be a whole number from 1 to 65535.');
  }
}

function checkPassword(password: string): void {
  if (password === '' || password.length > MAX_PASSWORD || password.includes('\0')) {
    throw badInput(`A password must have 1 to ${MAX_PASSWORD} characters.`);
  }
}
