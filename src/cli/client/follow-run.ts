import { setTimeout as rest } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import {
  type RunReportFragment,
  WaitForRunDocument,
  WatchRunDocument,
  type WatchRunSubscription,
} from './generated/api.ts';

export type RunReport = RunReportFragment;
export type RunEvent = WatchRunSubscription['runEvents'];

/** Ended, or waiting for a person. */
export const hasStopped = (run: RunReport): boolean =>
  ['SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED'].includes(run.state);

export interface WaitOptions {
  /** Told of the run as it goes, about every pollMs. */
  readonly onProgress?: (run: RunReport) => void;
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

/** The run as it is when it has ended or needs somebody. */
export async function waitForRun(
  client: ApiClient,
  id: string,
  options: WaitOptions = {},
): Promise<RunReport> {
  for (;;) {
    const { waitForRun: run } = await client.request(WaitForRunDocument, {
      id,
      timeoutMs: options.pollMs ?? 20_000,
    });
    options.onProgress?.(run);
    if (hasStopped(run) || options.signal?.aborted) return run;
  }
}

const LOSSES = 10;

/** The events of a run, each once and in order, until it has ended; goes on where it was when the connection is lost. */
export async function* runEvents(
  client: ApiClient,
  runId: string,
  after: number | null,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent> {
  let last = after;
  for (let losses = 0; ;) {
    try {
      for await (const { runEvents: event } of client.subscribe(
        WatchRunDocument,
        { runId, after: last },
        signal,
      )) {
        losses = 0;
        last = event.sequence;
        yield event;
      }
      return;
    } catch (error) {
      losses += 1;
      if (!(error instanceof ApiError) || error.code !== 'UNREACHABLE' || losses > LOSSES) throw error;
      await rest(Math.min(250 * 2 ** losses, 10_000), undefined, signal ? { signal } : {});
    }
  }
}
