import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { throttleFrom } from '../../src/domain/throttle.ts';

describe('throttleFrom', () => {
  it('rests four fifths of the time, in batches of 5 ms, unless told otherwise', () => {
    expect(throttleFrom(null)).toEqual({ ...DEFAULT_THROTTLE, dutyCycle: 0.2, batchMs: 5 });
  });

  it('makes longer batches where no rest is wanted, but not against a given length', () => {
    expect(throttleFrom({ dutyCycle: 1 }).batchMs).toBe(20);
    expect(throttleFrom({ dutyCycle: 1, batchMs: 3 }).batchMs).toBe(3);
  });

  it('keeps what a run already has where a change says nothing', () => {
    const known = { ...DEFAULT_THROTTLE, batchRows: 77 };
    expect(throttleFrom({ dutyCycle: 0.5 }, known)).toEqual({ ...known, dutyCycle: 0.5 });
  });

  it.each([
    { from: '24:00', to: '06:00', timeZone: 'UTC' },
    { from: '22:00', to: '22:00', timeZone: 'UTC' },
    { from: '22:00', to: '06:00', timeZone: 'Mars/Base' },
  ])('refuses the window %j', (window) => {
    expect(() => throttleFrom({ window })).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });

  it.each([{ dutyCycle: 0 }, { dutyCycle: 1.1 }, { batchRows: 0 }, { batchMs: NaN }])(
    'refuses %j',
    (input) => {
      expect(() => throttleFrom(input)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
    },
  );
});
