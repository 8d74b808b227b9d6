import { z } from 'zod';
import { durationMs } from './domain/duration.ts';
import { parseFailpoints } from './failpoint.ts';

/** How the texts of environment variables are read. */

export const wholeNumber = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,12}$/, message)
    .transform(Number)
    .refine((value) => value >= least && value <= most, message);
};

/** 0: never */
export const interval = z.string().transform((text, context) => {
  const ms = text === '0' ? 0 : durationMs(text);
  if (ms !== null && (ms === 0 ? text === '0' : ms >= 60_000)) return ms;
  context.addIssue({
    code: 'custom',
    message: 'must be 0, or an ISO 8601 duration from PT1M on, such as PT6H',
  });
  return z.NEVER;
});

export const postgresUrl = z
  .string()
  .refine((text) => ['postgres:', 'postgresql:'].includes(URL.parse(text)?.protocol ?? ''), {
    message: 'must be a URL such as postgres://user:password@host:5432/declutter',
  });

export const flag = z.enum(['0', '1'], { message: 'must be 0 or 1' }).transform((value) => value === '1');

export const hostList = z.string().transform((text) =>
  text
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== ''),
);

const keyOf = (text: string): Buffer => Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? 'hex' : 'base64');

export const secretKey = z
  .string()
  .transform(keyOf)
  .refine((key) => key.length === 32, 'must be 32 random bytes as base64 or hex (openssl rand -base64 32)');

export const keyList = z
  .string()
  .transform((text) => text.split(',').map((entry) => keyOf(entry.trim())))
  .refine(
    (keys) => keys.every((key) => key.length === 32),
    'must be keys of 32 random bytes each, as base64 or hex, separated by commas (openssl rand -base64 32)',
  );

export const failpoints = z.string().transform((text, context) => {
  const points = parseFailpoints(text);
  if (points !== null) return points;
  context.addIssue({ code: 'custom', message: 'must be a list such as batch.treated=kill@3' });
  return z.NEVER;
});
