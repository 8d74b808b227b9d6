import { describe, expect, it } from '@jest/globals';
import { limitsFrom, needsApproval, runLimits } from '../../src/domain/limits.ts';

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

describe('the limits of a run', () => {
  const counted = { rows: 100, rowsAreExact: true, share: 0.01, tableRows: 10_001 };
  const estimated = { ...counted, rowsAreExact: false };
  const huge = { rows: 9e6, rowsAreExact: false, share: 0.009, tableRows: 1e9 };
  it.each([
    ['half of the table when nothing is said', {}, 'PURGE', 'STAGING', counted, 5_000],
    ['the smaller of rows and share', { maxRows: 70, maxShare: 0.3 }, 'PURGE', 'STAGING', counted, 70],
    ['the smaller of share and rows', { maxRows: 9_000, maxShare: 0.3 }, 'PURGE', 'STAGING', counted, 3_000],
    ['nothing, when all is meant', { maxShare: 1 }, 'PURGE', 'STAGING', counted, null],
    ['nothing in a small table', {}, 'PURGE', 'STAGING', { ...counted, tableRows: 999 }, null],
    [
      'a thousand rows of one that only seems small',
      {},
      'PURGE',
      'STAGING',
      { ...estimated, tableRows: 0 },
      1_000,
    ],
    ['what needs no approval', { maxShare: 1 }, 'ARCHIVE', 'PRODUCTION', huge, 10_000_000],
    ['a share that needs no approval', { maxShare: 0.9 }, 'ARCHIVE', 'PRODUCTION', estimated, 5_000],
    ['what was asked for, with an approval', { maxShare: 0.9 }, 'PURGE', 'PRODUCTION', estimated, 9_000],
    ['what was asked for, where none is needed', { maxShare: 1 }, 'ARCHIVE', 'STAGING', huge, null],
    ['what was asked for, when counted', { maxShare: 1 }, 'ARCHIVE', 'PRODUCTION', counted, null],
  ] as const)('are %s', (_what, input, kind, environment, found, maxRows) => {
    const limits = limitsFrom(input, found.tableRows);
    expect(runLimits(limits, kind, environment, found)).toEqual({ ...limits, maxRows });
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
    ['INDEX_CREATION', 'PRODUCTION', { rows: 0, share: 0 }, false],
    ['INDEX_REMOVAL', 'PRODUCTION', { rows: 0, share: 0 }, true],
    ['INDEX_REMOVAL', 'STAGING', { rows: 0, share: 0 }, false],
    ['VACUUM', 'PRODUCTION', { rows: 0, share: 0, bytes: 1e15 }, false],
    ['VACUUM_FULL', 'PRODUCTION', { rows: 0, share: 0 }, true],
    ['CLUSTER', 'PRODUCTION', { rows: 0, share: 0 }, true],
    ['CLUSTER', 'STAGING', { rows: 0, share: 0 }, false],
    ['COMPACT', 'PRODUCTION', { rows: 2_000, share: 0.9, bytes: 1e9 }, false],
    ['REPACK', 'PRODUCTION', { rows: 0, share: 0, bytes: 1e12 }, true],
  ] as const)('of %s on %s for %j: %s', (kind, environment, impact, needed) => {
    expect(needsApproval(kind, environment, impact)).toBe(needed);
  });
});
