import { describe, expect, it } from '@jest/globals';
import { bytes, count, duration, instant, percent } from '../../../src/cli/client/format.ts';

describe('figures for people', () => {
  it('are bytes in the largest fitting unit of 1 024', () => {
    expect([0, 1023, 1536, 150 * 1024 ** 2, 3 * 1024 ** 4].map(bytes)).toEqual([
      '0 B',
      '1023 B',
      '1.5 kB',
      '150 MB',
      '3.0 TB',
    ]);
  });

  it('are counts in groups of three', () => {
    expect([0, 999, 1000, 1234567].map(count)).toEqual(['0', '999', '1 000', '1 234 567']);
  });

  it('never pretend: what is unknown is a question mark, not zero', () => {
    expect([bytes(null), count(undefined), percent(null), duration(null)]).toEqual(['?', '?', '?', '?']);
    expect(instant(null)).toBe('-');
  });

  it('show a small share as more than nothing', () => {
    expect([0, 0.004, 0.5, 1].map(percent)).toEqual(['0 %', '0.4 %', '50 %', '100 %']);
  });

  it('are times in the unit that one would say', () => {
    expect([0.25, 42, 61, 7_260].map(duration)).toEqual(['0.3 s', '42 s', '1 min 1 s', '2 h 1 min']);
  });

  it('are instants in UTC', () => {
    expect(instant('2026-03-01T14:05:09.123+02:00')).toBe('2026-03-01 12:05:09');
  });
});
