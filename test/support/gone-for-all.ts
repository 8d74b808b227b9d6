import { eventually } from './eventually.ts';
import type { TestDatabase } from './postgres.ts';

/**
 * Waits until VACUUM may remove what has been deleted so far. A session that is just being opened, in whichever database of the server, has
 * an old snapshot for a moment, and that moment is long on a busy machine.
 */
export async function goneForAll({ run }: Pick<TestDatabase, 'run'>): Promise<void> {
  await run('CREATE TABLE deleted_last AS SELECT 1 AS n');
  await run('DELETE FROM deleted_last');
  await eventually('nobody sees what was deleted', async () => {
    await run('VACUUM deleted_last');
    const [row] = await run(`SELECT pg_relation_size('deleted_last')::int AS bytes`);
    return row?.['bytes'] === 0;
  });
  await run('DROP TABLE deleted_last');
}
