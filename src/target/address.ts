import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { badInput } from '../errors.ts';
import { targetFailure } from './sqlstate.ts';

type Ip = ReturnType<typeof ipaddr.process>;

/** Which hosts a database may be on: DECLUTTER_TARGET_HOSTS, and the embedded server's own address. */
export interface AddressPolicy {
  /** Names (db.corp), names below one (*.db.corp), addresses and networks (10.20.0.0/16, ::1). */
  readonly hosts: readonly string[];
  readonly embedded: { readonly host: string; readonly port: number } | null;
}

export type Resolve = (host: string) => Promise<readonly string[]>;

export const resolveByDns: Resolve = async (host) => {
  try {
    return (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address);
  } catch (error) {
    throw targetFailure(error, 'connect');
  }
};

/**
 * The address to connect to, so that what was checked is what is reached: the name is resolved once and every address it
 * has must be allowed.
 * @throws BAD_USER_INPUT when the policy does not allow it
 */
export async function allowedAddress(
  target: { readonly host: string; readonly port: number },
  policy: AddressPolicy,
  resolve: Resolve = resolveByDns,
): Promise<string> {
  const host = canonicalHost(target.host);
  if (!Number.isInteger(target.port) || target.port < 1 || target.port > 65_535) {
    throw badInput('The port must be a whole number from 1 to 65535.');
  }
  if (host === policy.embedded?.host && target.port === policy.embedded.port) return host;
  const addresses = ipaddr.isValid(host) ? [host] : await resolve(host);
  const ips = addresses.map((address) => ipaddr.process(address));
  const chosen = ips.find((ip) => ip.kind() === 'ipv4') ?? ips[0];
  if (chosen === undefined || !ips.every((ip) => isAllowed(ip, host, policy.hosts))) {
    throw badInput(
      `The host "${host}" is not one that a database may be on. Name it, or its network, in DECLUTTER_TARGET_HOSTS.`,
    );
  }
  return chosen.toString();
}

/** One spelling for each host: 0x7f000001, 127.1 and ::ffff:127.0.0.1 are 127.0.0.1. */
export function canonicalHost(text: string): string {
  const bare = text.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  const host = bare.endsWith('.') ? bare.slice(0, -1) : bare;
  if (ipaddr.isValid(host)) return ipaddr.process(host).toString();
  if (host.length > 253 || !/^(?!.*\.\.)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(host)) {
    throw badInput('The host must be a host name or an IP address; sockets and URLs are not accepted.');
  }
  return host;
}

/** Reachable by a name that is allowed; all other kinds of address must be allowed by a network of the same kind. */
const ORDINARY = new Set(['unicast', 'private', 'uniqueLocal', 'carrierGradeNat']);
/** Metadata services of clouds outside link-local: they hand out credentials to whoever asks. */
const METADATA = new Set(['fd00:ec2::254', '100.100.100.200']);

function isAllowed(ip: Ip, host: string, entries: readonly string[]): boolean {
  if (entries.some((entry) => allowsAddress(entry, ip))) return true;
  if (METADATA.has(ip.toString())) return false;
  const named = entries.some((entry) => allowsName(entry, host));
  return named && (ORDINARY.has(ip.range()) || (ip.range() === 'loopback' && host === 'localhost'));
}

function allowsName(entry: string, host: string): boolean {
  return entry.startsWith('*.') ? host.endsWith(entry.slice(1)) : entry.replace(/\.$/, '') === host;
}

/** A network allows only its own kind of address: 0.0.0.0/0 opens neither loopback nor private networks nor link-local. */
function allowsAddress(entry: string, ip: Ip): boolean {
  const network = networkOf(entry);
  if (network === null || network[0].kind() !== ip.kind() || !ip.match(network)) return false;
  const [base, bits] = network;
  const isSingle = bits === (ip.kind() === 'ipv4' ? 32 : 128);
  if (METADATA.has(ip.toString())) return isSingle;
  return ip.range() === 'unicast' || base.range() === ip.range();
}

function networkOf(entry: string): [Ip, number] | null {
  const bare = entry.replace(/^\[(.*)\]$/, '$1');
  if (ipaddr.isValidCIDR(bare)) return ipaddr.parseCIDR(bare);
  if (!ipaddr.isValid(bare)) return null;
  const ip = ipaddr.process(bare);
  return [ip, ip.kind() === 'ipv4' ? 32 : 128];
}
