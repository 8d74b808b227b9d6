import { existsSync } from 'node:fs';
import { it } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';

/** For tests that look at a page. Where CI is set, the browser must be there. */
export const itInBrowser = available() ? it : it.skip;

function available(): boolean {
  if (existsSync(EXECUTABLE)) return true;
  const message = `${EXECUTABLE} is missing (apt-get install chromium).`;
  if (process.env['CI'] === 'true') throw new Error(`${message} CI allows no skipped test.`);
  process.stderr.write(`${message} Tests in a browser are skipped.\n`);
  return false;
}

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
