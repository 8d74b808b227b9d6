import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { confirmed } from '../../../src/cli/client/confirmed.ts';

const answering = (answer: string, isTTY: boolean) => {
  const input = Object.assign(new PassThrough(), { isTTY });
  input.end(answer);
  return confirmed('Go on?', { input, output: new PassThrough() });
};

describe('a question', () => {
  it.each([
    ['y\n', true],
    ['Yes\n', true],
    ['\n', false],
    ['n\n', false],
    ['yesterday\n', false],
    ['', false],
  ])('on a terminal takes %j for %s', async (answer, meant) => {
    expect(await answering(answer, true)).toBe(meant);
  });

  it('is not asked where there is no terminal', async () => {
    expect(await answering('', false)).toBe(true);
  });
});
