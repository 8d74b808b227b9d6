import { elsewhere, type Row, rows } from './row.ts';
import type { Scene } from './scene.ts';

const LIMITS_TEST = 'test/store/rate-limits.test.ts';

async function price({ ask }: Scene, query: string): Promise<number> {
  const left = async () => {
    const { headers } = await ask('approver', query);
    return Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
  };
  return (await left()) - (await left());
}

async function aliases(scene: Scene): Promise<string> {
  const one = await price(scene, '{ databases { name } }');
  const ten = await price(
    scene,
    `{ ${Array.from({ length: 10 }, (_, i) => `a${i}: databases { name }`).join(' ')} }`,
  );
  return `${ten / one} times the points`;
}

export const RATE: readonly Row[] = [
  elsewhere(
    'R1',
    'more than the quota',
    LIMITS_TEST,
    'are told with every answer, and refused with Retry-After',
  ),
  elsewhere(
    'R2, R5',
    '103 bad tokens with spoofed X-Forwarded-For',
    'test/http/tokens.test.ts',
    'is refused before any signature is checked',
  ),
  ...rows('R3', '10 times the points', { 'ten aliases': null }, aliases),
  elsewhere(
    'R4',
    'the store of the limits is away',
    LIMITS_TEST,
    'go on by themselves while the store is away',
  ),
  elsewhere(
    'R6',
    'more streams than allowed',
    'test/http/streams.test.ts',
    'are limited in number for each principal',
  ),
];
