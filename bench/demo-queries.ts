import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const MAIN = join(import.meta.dirname, '..', 'dist', 'main.js');

/** What the demo tells of its queries before and after the whole path. */
export interface DemoQueries {
  readonly table: string;
  /** Of the workload's queries the median, as a share of the time that is saved. */
  readonly saved: number;
}

/** Plays the demo. @throws when it prints no times */
export async function demoQueries(): Promise<DemoQueries> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'demo'], {
    env: { PATH: process.env['PATH'] },
    maxBuffer: 2 ** 24,
  });
  const table = /^ *query \(fastest\).*?(?=\n\s*\n)/ms.exec(stdout)?.[0];
  const percent = /the workload .* the median by (\d+) %/.exec(stdout)?.[1];
  if (table === undefined || percent === undefined) throw new Error(`The demo told no times:\n${stdout}`);
  return { table, saved: Number(percent) / 100 };
}
