import { describe, expect, it } from '@jest/globals';
import { limitsFrom, needsApproval } from '../../src/domain/limits.ts';

describe('limits', () => {
  it('allow half of a table when nothing is said, and any share of a small one', () => {
    expect(limitsFrom(null, 1_000)).toEqual({ maxRows: null, maxShare: 0.5, maxDurationMs: null });
    expect(limitsFrom({}, 999).maxShare).toBeNull();
    expect(limitsFrom({ maxShare: 0.9, maxRows: 5, maxDuration: 'P1DT2H3M4S' }, 10)).toEqual({
      maxRows: 5,
      maxShare: 0.9,
      maxDurationMs: 93_784_000,
    });
  });

  it.each([
    { maxRows: 0 },
    { maxRows: -1 },
    { maxRows: 1.5 },
    { maxRows: Number.NaN },
    { maxShare: 0 },
    { maxShare: 1.01 },
    { maxShare: Number.NaN },
    { maxDuration: 'P0D' },
    { maxDuration: 'P1Y' },
    { maxDuration: 'P9999D' },
    { maxDuration: '-PT1H' },
    { maxDuration: 'PT' },
  ])('are refused when they make no sense: %j', (input) => {
    expect(() => limitsFrom(input, 10)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });
});

describe('approval', () => {
  const few = { rows: 10, share: 0.1 };
  it.each([
    ['PURGE', 'PRODUCTION', few, true],
    ['PURGE', 'STAGING', { rows: 1e9, share: 1 }, false],
    ['ARCHIVE', 'PRODUCTION', few, false],
    ['ARCHIVE', 'PRODUCTION', { rows: 10_000_001, share: 0.1 }, true],
    ['ARCHIVE', 'PRODUCTION', { rows: 2_000, share: 0.6 }, true],
    ['ARCHIVE', 'PRODUCTION', { rows: 9, share: 0.9 }, false],
    ['ARCHIVE', 'DEVELOPMENT', { rows: 1e9, share: 1 }, false],
    ['RESTORE', 'PRODUCTION', { rows: 5_000, share: 1 }, false],
    ['RESTORE', 'PRODUCTION', { rows: 10_000_001, share: 1 }, true],
    ['REINDEX', 'PRODUCTION', { rows: 0, share: 0 }, false],
  ] as const)('of %s on %s for %j: %s', (kind, environment, impact, needed) => {
    expect(needsApproval(kind, environment, impact)).toBe(needed);
  });
});
