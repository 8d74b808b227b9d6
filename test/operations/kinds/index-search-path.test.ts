import { describe, expect, it } from '@jest/globals';
import { readIndex } from '../../../src/target/index-state.ts';
import { testEngine } from '../../support/engine.ts';
import { availableVersions, testDatabase } from '../../support/postgres.ts';

/** Later ones build no index whose functions need a search_path. */
const LAST = 16;

describe('an index that is built again', () => {
  it.each(availableVersions().filter((version) => version <= LAST))(
    'finds what its functions name without a schema, and no other function than its own (PostgreSQL %s)',
    async (version) => {
      const database = await testDatabase(version);
      const engine = await testEngine(database);
      try {
        await database.run(`
          CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item SELECT i, 'Note ' || i FROM generate_series(1, 100) i;
          CREATE TABLE label (id int PRIMARY KEY, text text); INSERT INTO label VALUES (1, 'one');
          CREATE FUNCTION trimmed(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT btrim($1)';
          CREATE FUNCTION labelled(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
            'BEGIN RETURN coalesce((SELECT l.text FROM label l WHERE l.id = $1), trimmed($1::text)); END';
          CREATE INDEX item_label ON item (labelled(id), lower(note));
          CREATE FUNCTION lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''another''::text'`);
        const session = await database.session();
        const { definition, tableOid } = (await readIndex(session, 'public', 'item_label'))!;
        await database.run('DROP INDEX item_label');
        const index = { schema: 'public', name: 'item_label', tableOid, definition, comment: null };
        const again = { ...index, isConcurrent: true };
        const runId = await engine.queue({ name: 'item' }, { kind: 'INDEX_CREATION', indexes: [again] });
        expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
        const built = await readIndex(session, 'public', 'item_label');
        expect(built).toMatchObject({ isValid: true, definition });
        expect(definition).toContain('public.labelled(id), lower(note)');
      } finally {
        await engine.close();
        await database.drop();
      }
    },
  );
});
