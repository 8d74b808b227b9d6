import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { changedThrottle, throttleFrom } from '../../src/domain/throttle.ts';

describe('throttleFrom', () => {
  it('rests four fifths of the time, in batches of 5 ms, unless told otherwise', () => {
    expect(throttleFrom(null)).toEqual({ ...DEFAULT_THROTTLE, dutyCycle: 0.2, batchMs: 5 });
  });

  it('makes longer batches where no rest is wanted, but not against a given length', () => {
    expect(throttleFrom({ dutyCycle: 1 }).batchMs).toBe(35);
    expect(throttleFrom({ dutyCycle: 1, batchMs: 3 }).batchMs).toBe(3);
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

describe('changedThrottle', () => {
  const known = { ...DEFAULT_THROTTLE, batchRows: 77, maxActiveSessions: 5, maxReplicaLagMs: 1 };

  it('keeps what a run already has where a change says nothing', () => {
    expect(changedThrottle({ dutyCycle: 0.5 }, known, false)).toEqual({ ...known, dutyCycle: 0.5 });
  });

  it('takes a bound away by null, or gives back what a plan has without it', () => {
    const nothing = { maxActiveSessions: null, maxReplicaLagMs: null, window: null, maxSlowdown: null };
    expect(changedThrottle(nothing, { ...known, maxSlowdown: 2 }, false)).toEqual({
      ...known,
      maxActiveSessions: null,
      maxReplicaLagMs: DEFAULT_THROTTLE.maxReplicaLagMs,
      maxSlowdown: DEFAULT_THROTTLE.maxSlowdown,
    });
  });

  it('gives back the length of batches that fits the rest, and the store', () => {
    const long = { ...known, batchMs: 400 };
    expect(changedThrottle({ batchMs: null }, long, false).batchMs).toBe(5);
    expect(changedThrottle({ batchMs: null, dutyCycle: 1 }, long, false).batchMs).toBe(35);
    expect(changedThrottle({ batchMs: null }, long, true).batchMs).toBe(50);
  });

  it('refuses what a plan refuses', () => {
    expect(() => changedThrottle({ maxSlowdown: 0.5 }, known, false)).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT' }),
    );
  });
});
