import { PgBoss } from 'pg-boss';
import type { Log } from '../log.ts';

/** The work queue: it nudges workers so that they need not wait for their next look; the lease decides who may run. */
export interface Queue {
  /** Tells the workers that a run waits. */
  nudge(runId: string): Promise<void>;
  /** Calls back for each nudge, in this process. */
  listen(onNudge: (runId: string) => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

const RUNS = 'runs';
const POLLING_SECONDS = 0.5;

export async function openQueue(url: string, log: Log): Promise<Queue> {
  const boss = new PgBoss({
    connectionString: url,
    schema: 'pgboss',
    application_name: 'declutter/queue',
    max: 2,
    schedule: false,
  });
  boss.on('error', (error) =>
    log.warn({ err: error }, 'the work queue failed; workers go on looking by themselves'),
  );
  await boss.start();
  await boss.createQueue(RUNS, { retryLimit: 0, expireInSeconds: 60 });
  return {
    nudge: async (runId) => {
      await boss.send(RUNS, { runId });
    },
    listen: async (onNudge) => {
      await boss.work<{ runId: string }>(RUNS, { pollingIntervalSeconds: POLLING_SECONDS }, async (jobs) => {
        for (const job of jobs) await onNudge(job.data.runId);
      });
    },
    stop: () => boss.stop({ graceful: false }),
  };
}
