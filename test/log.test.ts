import { describe, expect, it } from '@jest/globals';
import { DeclutterError } from '../src/errors.ts';
import { makeLog } from '../src/log.ts';

function capture(write: (log: ReturnType<typeof makeLog>) => void): {
  text: string;
  lines: Record<string, unknown>[];
} {
  let text = '';
  write(makeLog('info', { write: (line) => void (text += line) }));
  return {
    text,
    lines: text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('makeLog', () => {
  it('never writes a secret: by name, within a URL, as a bearer token', () => {
    const { text, lines } = capture((log) => {
      log.info(
        { password: 'canary', client: { client_secret: 'canary' }, headers: { authorization: 'canary' } },
        'one',
      );
      log.info({ url: 'postgres://me:canary@db:5432/x' }, 'connect postgres://me:canary@db/x failed');
      log.error({ err: new Error('sent Bearer canary.canary.canary') }, 'two');
    });
    expect(text).not.toContain('canary');
    expect(lines.map((line) => line['msg'])).toEqual(['one', 'connect postgres://me:***@db/x failed', 'two']);
  });

  it('tells what an error says that comes as a plain object', () => {
    const { lines } = capture((log) => {
      log.warn(
        { err: { code: 'ECONNREFUSED', message: 'nobody listens', stack: 'at there', detail: 'canary' } },
        'queue',
      );
    });
    expect(lines[0]?.['err']).toEqual({
      type: 'Error',
      message: 'nobody listens',
      stack: 'at there',
      code: 'ECONNREFUSED',
    });
  });

  it('keeps the code, the details and the cause of an error, but no value of a row', () => {
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (email)=(canary) already exists.',
    });
    const error = new DeclutterError('CONFLICT', 'It exists.', { table: 'orders' }, { cause });
    const { text, lines } = capture((log) => {
      log.error({ err: error }, 'failed');
    });
    expect(text).not.toContain('canary');
    expect(lines[0]).toMatchObject({
      level: 'error',
      err: {
        code: 'CONFLICT',
        details: { table: 'orders' },
        cause: { message: 'duplicate key', code: '23505' },
      },
    });
  });
});
