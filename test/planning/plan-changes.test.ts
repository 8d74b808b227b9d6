import { afterAll, describe, expect } from '@jest/globals';
import { indexScene, BY } from '../support/index-scene.ts';
import { itOnDebian, ownServer, type OwnServer } from '../support/postgres.ts';

let server: OwnServer | null = null;
afterAll(() => server?.stop());

describe('the plan of an index', () => {
  itOnDebian('tells what the plans of the main statements would become, where HypoPG can say', async () => {
    server = await ownServer({ shared_preload_libraries: 'pg_stat_statements' }, 'debian-15');
    const scene = await indexScene(await server.database());
    const { database, plans } = scene;
    try {
      await database.run(`
        CREATE EXTENSION pg_stat_statements; CREATE EXTENSION hypopg;
        CREATE TABLE item (id int PRIMARY KEY, kind int, note text); INSERT INTO item SELECT i, i, 'note' FROM generate_series(1, 20000) i;
        CREATE INDEX item_note ON item (note)`);
      await database.run('ANALYZE item');
      for (let times = 0; times < 3; times++) await database.run('SELECT count(*) FROM item WHERE kind = 7');
      const table = { database: database.name, schema: 'public', table: 'item' };
      const creation = await plans.indexCreation({ ...table, columns: ['kind'], unique: false }, BY);
      const [change] = creation.forecast.warnings.filter(({ code }) => code === 'PLAN_CHANGE');
      expect(change!.message).toMatch(
        /^A statement that ran 3 times would cost \d+ instead of \d+ \(.*kind.* instead of .*\): SELECT count\(\*\) FROM item WHERE kind = \$1$/,
      );
      const useless = await plans.indexCreation({ ...table, columns: ['id', 'note'], unique: false }, BY);
      expect(useless.forecast.warnings.map(({ code }) => code)).toContain('PLANS_UNCHANGED');
      expect(await database.run('SELECT FROM hypopg()')).toEqual([]);
      // Debian's HypoPG is older than 1.4 and cannot suppose that an index is gone: then nothing is said.
      const removal = await plans.indexRemoval(
        { database: database.name, schema: 'public', index: 'item_note' },
        BY,
      );
      expect(removal.forecast.warnings.map(({ code }) => code)).not.toContain('PLANS_UNCHANGED');
    } finally {
      await scene.close();
    }
  });
});
