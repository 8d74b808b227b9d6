import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keepsPassword } from '../../src/target/repack-client.ts';

/** What libpq says, of 16 and of 15. */
const SAYS = {
  knowing: 'ERROR: could not connect to database: invalid require_auth value: "nonsense"',
  ignorant: 'ERROR: could not connect to database: connection to server on socket failed',
};

describe('the password', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'declutter-client-'));
    for (const [name, says] of Object.entries(SAYS)) {
      await writeFile(path.join(folder, name), `#!/bin/sh\necho '${says}' >&2\nexit 1\n`);
      await chmod(path.join(folder, name), 0o755);
    }
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    ['knowing', 'REQUIRE', '10.0.0.1', true],
    ['knowing', 'DISABLE', '10.0.0.1', true],
    ['ignorant', 'VERIFY_FULL', '10.0.0.1', true],
    ['ignorant', 'DISABLE', '127.0.0.1', true],
    ['ignorant', 'REQUIRE', '10.0.0.1', false],
    ['ignorant', 'DISABLE', '10.0.0.1', false],
  ] as const)('is told to a libpq that is %s, over TLS %s to %s: %s', async (program, tls, ip, isTold) => {
    expect(await keepsPassword(path.join(folder, program), { tls, ip })).toBe(isTold);
  });
});
