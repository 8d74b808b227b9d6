import { describe, expect, it } from '@jest/globals';
import { preflight } from '../../src/planning/preflight.ts';
import { readRelation } from '../../src/target/catalog.ts';
import { availableVersions, testDatabase } from '../support/postgres.ts';

describe.each(availableVersions())('what is worth knowing before a delete, on PostgreSQL %i', (version) => {
  it('is silent about a plain table, and tells of each thing that is there', async () => {
    const database = await testDatabase(version);
    await database.run(`
      CREATE TABLE plain (id int PRIMARY KEY, at timestamptz); INSERT INTO plain VALUES (1);
      CREATE TABLE "Odd" (id int, blob oid, double int GENERATED ALWAYS AS (id * 2) STORED, span int4range, wide text, EXCLUDE USING gist (span WITH &&));
      ALTER TABLE "Odd" ALTER wide SET STORAGE EXTERNAL; INSERT INTO "Odd" (id, wide) SELECT 1, repeat('x', 110000000);
      CREATE UNIQUE INDEX odd_id ON "Odd" (id); CREATE TABLE refers (id int REFERENCES "Odd" (id) DEFERRABLE);
      CREATE MATERIALIZED VIEW shown AS SELECT id FROM "Odd"; CREATE INDEX broken ON "Odd" (blob);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass;
      CREATE TABLE half (id int UNIQUE, other int NOT NULL); CREATE UNIQUE INDEX ON half (other) WHERE id > 1;`);
    const session = await database.session();
    const told = async (name: string, archived: boolean) => {
      const relation = await session.transaction(() => readRelation(session, 'public', name));
      const notices = await preflight({ session }, relation!, { archived });
      return notices.map(({ code }) => code).filter((code) => code !== 'SLOT_LAG' && code !== 'OLD_SNAPSHOT');
    };
    expect(await told('plain', true)).toEqual([]);
    const odd = ['MATERIALIZED_VIEWS', 'INVALID_INDEX', 'DEFERRABLE_KEY', 'LARGE_OBJECTS', 'TOAST_SIZE'];
    expect(await told('Odd', false)).toEqual(odd);
    expect(await told('Odd', true)).toEqual([...odd, 'NO_KEY', 'EXCLUSION_CONSTRAINT', 'GENERATED_COLUMNS']);
    expect(await told('half', true)).toEqual(['NO_KEY']);
    await session.close();
    await database.drop();
  });
});
