import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { indexBloat } from '../../../src/analysis/kinds/index-bloat.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

describe('INDEX_BLOAT', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      `CREATE TABLE item AS SELECT g id, g % 7 kind FROM generate_series(1, 80000) g;
       CREATE INDEX item_id ON item (id); CREATE INDEX item_id_hash ON item USING hash (id)`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('is silent about a fresh B-tree, and unsure about a method without a model', async () => {
    const { faults, unsure } = await ask(indexBloat, database);
    expect(faults).toEqual([]);
    const why = 'There is no model for hash indexes.';
    expect(unsure).toEqual([{ schema: 'public', table: 'item', index: 'item_id_hash', why }]);
  });

  it('finds a B-tree that was half emptied, and plans to rebuild it', async () => {
    await inTurn(database, 'DELETE FROM item WHERE id % 3 <> 0', 'VACUUM ANALYZE');
    const { faults } = await ask(indexBloat, database);
    expect(faults.map((fault) => fault.index)).toEqual(['item_id']);
    expect(faults[0]).toMatchObject({ kind: 'INDEX_BLOAT', table: 'item', columns: ['id'] });
    expect(faults[0]!.evidence['ratio']).toBeGreaterThan(0.5);
    expect(faults[0]!.remedy?.mutation).toContain('planReindex');
    expect(faults[0]!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'public', table: 'item', indexes: ['item_id'] },
    });
  });

  it('is silent after the rebuild', async () => {
    await inTurn(database, 'REINDEX INDEX item_id');
    expect((await ask(indexBloat, database)).faults).toEqual([]);
  });
});
