import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from '@jest/globals';
import type { S3Settings } from '../../src/archive/s3-store.ts';
import type { TargetAddress } from '../../src/target/session.ts';
import type { TestEngine } from './engine.ts';
import type { TestDatabase } from './postgres.ts';

/** Of workers that are to be killed: short, so that another takes over soon. */
export const SHORT_LEASE = { leaseMs: 1_500, heartbeatMs: 250 };

export interface Scene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
}

/** What a process of ours is told, as JSON. */
export interface ProcessInput {
  readonly storeUrl: string;
  readonly address: Omit<TargetAddress, 'password'> & { readonly password: string };
  readonly archiveDir: string;
  readonly s3: S3Settings | null;
  readonly keys: readonly string[];
  readonly times: { readonly leaseMs: number; readonly heartbeatMs: number };
  /** as in DECLUTTER_FAILPOINTS */
  readonly failpoints: string;
}

export interface ProcessOptions {
  /** as in DECLUTTER_FAILPOINTS */
  readonly failpoints?: string;
  /** where the database is reached, when not directly */
  readonly port?: number;
  readonly times?: typeof SHORT_LEASE;
  /** a program that runs it, with its arguments */
  readonly under?: readonly string[];
  readonly nodeFlags?: readonly string[];
}

/** A worker that takes runs until it is told to stop. */
export async function spawnWorker(scene: Scene, options: ProcessOptions = {}): Promise<ChildProcess> {
  const worker = await start('worker-process.ts', scene, options, {});
  await Promise.race([once(worker.stdout as NodeJS.ReadableStream, 'data'), once(worker, 'exit')]);
  expect(worker.exitCode).toBeNull();
  return worker;
}

/** A worker for one turn at one run; it ends with the turn. */
export const spawnTurn = (scene: Scene, runId: string, options: ProcessOptions = {}): Promise<ChildProcess> =>
  start('turn-process.ts', scene, options, { runId });

/** How it ended: by itself (0) or by which signal. */
export async function endOf(process: ChildProcess): Promise<number | string> {
  if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
  return process.signalCode ?? process.exitCode ?? -1;
}

async function start(
  file: string,
  { database, engine }: Scene,
  { failpoints = '', port, times = SHORT_LEASE, under = [], nodeFlags = [] }: ProcessOptions,
  more: object,
): Promise<ChildProcess> {
  const { password, ...address } = database.address;
  const input: ProcessInput = {
    storeUrl: engine.storeUrl,
    address: { ...address, password: await password(), port: port ?? address.port },
    archiveDir: engine.archiveDir,
    times,
    s3: engine.s3,
    keys: engine.keys,
    failpoints,
  };
  const [program, ...args] = [
    ...under,
    process.execPath,
    ...nodeFlags,
    `test/support/${file}`,
    JSON.stringify({ ...input, ...more }),
  ];
  // Calls are counted of a worker that runs under another program: it leaves the cache of compiled modules alone.
  const env = under.length === 0 ? process.env : { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
}
