import { describe, expect, it } from '@jest/globals';
import { allowedAddress, canonicalHost } from '../../src/target/address.ts';

const NAMES: Record<string, string[]> = {
  localhost: ['::1', '127.0.0.1'],
  'db.corp': ['10.20.0.5'],
  'a.db.corp': ['10.20.0.6'],
  'rebinding.corp': ['93.184.216.34', '127.0.0.1'],
  'metadata.google.internal': ['169.254.169.254'],
  'public.example': ['93.184.216.34'],
};

const allowed = (host: string, hosts: string[], port = 5432) =>
  allowedAddress(
    { host, port },
    { hosts, embedded: { host: '127.0.0.1', port: 6000 } },
    async (name) => NAMES[name] ?? [],
  );

describe('the address of a target', () => {
  it.each([
    '0x7f000001',
    '127.1',
    '2130706433',
    '0177.0.0.1',
    '[::ffff:127.0.0.1]',
    '::ffff:7f00:1',
    '127.0.0.1.',
  ])('is the same however it is written: %s', (text) => {
    expect(canonicalHost(text)).toBe('127.0.0.1');
  });

  it.each([
    '',
    ' ',
    '/var/run/postgresql',
    'a/b',
    'host?host=x',
    'a..b',
    'x'.repeat(254),
    'ho st',
    'a\0b',
    '@x',
    'münchen',
  ])('is neither a socket nor a URL nor anything else: %j', (text) => {
    expect(() => canonicalHost(text)).toThrow(/host name or an IP address/);
  });

  it.each([
    '169.254.169.254',
    'metadata.google.internal',
    'localhost',
    '0x7f000001',
    '127.1',
    '[::ffff:127.0.0.1]',
    '::1',
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '224.0.0.1',
    'fe80::1',
    'fd00:ec2::254',
    '100.100.100.200',
    'public.example',
    '8.8.8.8',
    'unknown.example',
  ])('is refused when nothing names it: %s', async (host) => {
    await expect(allowed(host, [])).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('may be the embedded server, at its own port only', async () => {
    expect(await allowed('127.0.0.1', [], 6000)).toBe('127.0.0.1');
    await expect(allowed('127.0.0.1', [], 6001)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it.each([
    ['db.corp', ['db.corp'], '10.20.0.5'],
    ['DB.corp.', ['db.corp'], '10.20.0.5'],
    ['a.db.corp', ['*.db.corp'], '10.20.0.6'],
    ['a.db.corp', ['10.20.0.0/16'], '10.20.0.6'],
    ['10.20.3.4', ['10.20.0.0/16'], '10.20.3.4'],
    ['localhost', ['localhost'], '127.0.0.1'],
    ['127.1', ['127.0.0.0/8'], '127.0.0.1'],
    ['169.254.1.1', ['169.254.0.0/16'], '169.254.1.1'],
    ['public.example', ['0.0.0.0/0'], '93.184.216.34'],
  ])('is allowed when it is named: %s by %j', async (host, hosts, ip) => {
    expect(await allowed(host, hosts)).toBe(ip);
  });

  it.each([
    ['rebinding.corp', ['rebinding.corp']],
    ['rebinding.corp', ['93.184.216.0/24']],
    ['metadata.google.internal', ['*.google.internal']],
    ['db.corp', ['*.db.corp']],
    ['evildb.corp', ['*.db.corp']],
    ['127.0.0.1', ['0.0.0.0/0']],
    ['10.0.0.1', ['0.0.0.0/0']],
    ['169.254.169.254', ['0.0.0.0/0', '::/0']],
    ['100.100.100.200', ['100.64.0.0/10']],
  ])('is refused when another was named: %s by %j', async (host, hosts) => {
    await expect(allowed(host, hosts)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });
});
