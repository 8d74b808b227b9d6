import { setTimeout as rest } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import type { RunEventView, RunView } from '../../src/graphql/views.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';
import { itInBrowser, openBrowser } from '../support/browser.ts';

const RUN = '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11';
const SHOTS = process.env['DECLUTTER_TEST_SHOTS'];

const database = {
  id: 'd1',
  name: 'shop',
  environment: 'PRODUCTION' as const,
  serverVersion: '18.4',
  sizeBytes: 1_234_567_890,
  wastedBytes: 345_678_901,
  snapshotAt: new Date('2026-01-01T00:00:00Z'),
  unreachable: null,
};
const nothing = { edges: [], hasNextPage: false, hasPreviousPage: false };

describe('the playground', () => {
  let api: ApiServer;
  let browser: Browser | undefined;
  let send: (event: RunEventView) => void = () => undefined;
  beforeAll(async () => {
    api = await apiServer({
      databases: { list: async () => [database] },
      analysis: { tables: async () => nothing, findings: async () => nothing },
      runs: {
        find: async (id) => ({ id }) as RunView,
        watch: async function* (_id, _after, signal) {
          yield event(1, 'STARTED');
          yield await new Promise<RunEventView>((resolve) => (send = resolve));
          await rest(60_000, undefined, { signal, ref: false }).catch(() => undefined);
        },
      },
    });
  });
  afterAll(async () => {
    await browser?.close();
    await api.close();
  });

  it('is one page whose files all come from here, and that no other page may frame', async () => {
    const response = await fetch(`${api.url}/graphql`, { headers: { accept: 'text/html' } });
    const html = await response.text();
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/script-src[^;]*unsafe/);
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map(([, file]) => file ?? '')
      .filter((file) => file !== 'data:,');
    expect(files).toHaveLength(7);
    for (const file of files) {
      expect(file).toMatch(/^playground\/[\w.-]+$/);
      expect((await fetch(`${api.url}/${file}`)).status).toBe(200);
    }
  });

  it('hands out no other file', async () => {
    for (const file of ['package.json', '..%2findex.html', 'constructor', '__proto__']) {
      expect((await fetch(`${api.url}/playground/${file}`)).status).toBe(404);
    }
  });

  itInBrowser('answers a query and shows a live subscription, with a token and no internet', async () => {
    browser = await openBrowser();
    const { page, strays, problems } = await open(browser, api.url);
    await page.getByText('The API answers nobody without an access token').waitFor();
    await page.getByLabel('Access token').fill(await api.token('viewer'));
    await page.getByRole('button', { name: 'Use' }).click();
    await page.getByText('viewer (VIEWER)').waitFor();
    await shot(page, 'tabs');

    const tabs = page.getByRole('tab');
    expect(await tabs.allInnerTexts()).toEqual(['BloatOverview', 'PlanAnArchive', 'StartARun']);
    await page.getByRole('button', { name: /Execute query/ }).click();
    await response(page).getByText('345678901').waitFor();
    await shot(page, 'query');

    await tabs.nth(2).click();
    await setVariables(page, JSON.stringify({ runId: RUN }));
    await page.getByRole('button', { name: /Execute query/ }).click();
    await page.getByRole('menuitem', { name: 'WatchARun' }).click();
    await response(page).getByText('STARTED').waitFor();
    send(event(2, 'HALFWAY'));
    await response(page).getByText('HALFWAY').waitFor();
    await shot(page, 'subscription');
    expect({ strays, problems }).toEqual({ strays: [], problems: [] });
  });

  itInBrowser('says what is wrong with a token, and does not keep it', async () => {
    browser ??= await openBrowser();
    const { page } = await open(browser, api.url);
    await page.getByLabel('Access token').fill('garbage');
    await page.getByRole('button', { name: 'Use' }).click();
    await page.getByText('The access token is not valid.').waitFor();
    expect(await page.evaluate('JSON.stringify({ ...sessionStorage, ...localStorage })')).not.toContain(
      'garbage',
    );
  });
});

const event = (sequence: number, kind: string): RunEventView => ({
  sequence,
  kind,
  at: new Date(),
  message: 'It is under way.',
  data: {},
});

const response = (page: Page) => page.locator('.graphiql-response');

/** The network is cut to everything but the server; what the page wanted elsewhere is in strays. */
async function open(browser: Browser, url: string) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 850 } });
  const strays: string[] = [];
  const problems: string[] = [];
  await page.route('**/*', (route) => {
    if (route.request().url().startsWith(url)) return route.continue();
    strays.push(route.request().url());
    return route.abort();
  });
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(`${url}/graphql`);
  return { page, strays, problems };
}

async function setVariables(page: Page, text: string): Promise<void> {
  await page.locator('.graphiql-editor-tool .CodeMirror').first().click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text);
}

async function shot(page: Page, name: string): Promise<void> {
  if (SHOTS !== undefined) await page.screenshot({ path: `${SHOTS}/${name}.png` });
}
