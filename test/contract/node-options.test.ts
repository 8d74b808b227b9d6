import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';

const read = (...names: string[]) =>
  readFileSync(path.join(import.meta.dirname, '..', '..', ...names), 'utf8');

const optionsIn = (text: string | undefined) =>
  text?.match(/--max-semi-space-size=\d+|--heap-growing-percent=\d+/g);

it('gives Node.js the same memory however the product is started', () => {
  const wanted = optionsIn(read('src', 'main.ts').split('\n')[0]);
  expect(wanted).toHaveLength(2);
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(optionsIn(scripts['start'])).toEqual(wanted);
  expect(optionsIn(/^ENTRYPOINT .*$/m.exec(read('Dockerfile'))?.[0])).toEqual(wanted);
  expect(optionsIn(read('bench', 'product.ts'))).toEqual(wanted);
});
