import { describe, expect, it } from '@jest/globals';
import { readRelation, readRelationByOid } from '../../src/target/catalog.ts';
import { readIdentity } from '../../src/target/identity.ts';
import { availableVersions, testDatabase } from '../support/postgres.ts';

describe.each(availableVersions())('the catalog of PostgreSQL %i', (version) => {
  it('tells a table with all that belongs to it', async () => {
    const database = await testDatabase(version);
    await database.run(`
      CREATE SCHEMA "My shop"; CREATE TYPE "My shop"."Kind" AS ENUM ('a');
      CREATE TABLE "My shop".customers (id int PRIMARY KEY);
      CREATE TABLE "My shop"."Orders" (
        "Id" bigint GENERATED ALWAYS AS IDENTITY, part smallserial, gone int, customer_id int REFERENCES "My shop".customers DEFERRABLE,
        kind "My shop"."Kind"[], name varchar(7) COLLATE "C" NOT NULL, shout text GENERATED ALWAYS AS (upper(name)) STORED,
        PRIMARY KEY (part, "Id"));
      ALTER TABLE "My shop"."Orders" DROP COLUMN gone;
      CREATE TABLE lines (part int8, order_id int);
      ALTER TABLE lines ADD FOREIGN KEY (part, order_id) REFERENCES "My shop"."Orders" ON DELETE SET NULL NOT VALID;
      CREATE INDEX "by name" ON "My shop"."Orders" (lower(name), customer_id) WHERE customer_id IS NOT NULL;
      CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
      CREATE TRIGGER t BEFORE DELETE OR UPDATE ON "My shop"."Orders" FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER off AFTER TRUNCATE ON "My shop"."Orders" EXECUTE FUNCTION f(); ALTER TABLE "My shop"."Orders" DISABLE TRIGGER off;
      INSERT INTO "My shop"."Orders" (name) SELECT i::text FROM generate_series(1, 500) i; ANALYZE "My shop"."Orders"; SET search_path = "My shop"`);
    const session = await database.session();
    const relation = (await readRelation(session, 'My shop', 'Orders'))!;
    expect(relation).toMatchObject({
      kind: 'TABLE',
      persistence: 'PERMANENT',
      isPartition: false,
      hasChildren: false,
      rowSecurity: false,
      estimatedRows: 500,
      rules: [],
      primaryKey: ['part', 'Id'],
      inbound: [
        {
          schema: 'public',
          table: 'lines',
          columns: ['part', 'order_id'],
          referencedColumns: ['part', 'Id'],
          onDelete: 'SET_NULL',
          validated: false,
          operators: ['OPERATOR(pg_catalog.=)', 'OPERATOR(pg_catalog.=)'],
        },
      ],
      outbound: [
        { referencedTable: 'customers', columns: ['customer_id'], onDelete: 'NO_ACTION', deferrable: true },
      ],
      triggers: [
        {
          name: 'off',
          timing: 'AFTER',
          events: ['TRUNCATE'],
          level: 'STATEMENT',
          enabled: false,
          function: 'public.f',
        },
        { name: 't', timing: 'BEFORE', events: ['UPDATE', 'DELETE'], level: 'ROW', enabled: true },
      ],
      indexes: [
        { name: 'Orders_pkey', isPrimary: true, columns: ['part', 'Id'] },
        {
          name: 'by name',
          isUnique: false,
          isValid: true,
          method: 'btree',
          columns: [null, 'customer_id'],
          predicate: '(customer_id IS NOT NULL)',
        },
      ],
    });
    expect(relation.columns).toMatchObject([
      {
        name: 'Id',
        number: 1,
        type: 'bigint',
        notNull: true,
        identity: 'ALWAYS',
        sequence: { schema: 'My shop', name: 'Orders_Id_seq' },
      },
      {
        name: 'part',
        number: 2,
        type: 'smallint',
        identity: null,
        sequence: { schema: 'My shop', name: 'Orders_part_seq' },
      },
      { name: 'customer_id', number: 4, type: 'integer', notNull: false, sequence: null },
      { name: 'kind', type: '"My shop"."Kind"[]' },
      { name: 'name', type: 'character varying(7)', collation: 'pg_catalog."C"', generated: false },
      { name: 'shout', type: 'pg_catalog.text', generated: true, collation: null },
    ]);
    expect(relation.heapBytes).toBe(relation.pages * 8192);
    expect(relation.totalBytes).toBeGreaterThan(relation.heapBytes);
    expect(await readRelation(session, 'My shop', 'orders')).toBeNull();
    await database.drop();
  });

  it('tells what kind of relation it is', async () => {
    const database = await testDatabase(version);
    await database.run(`CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE VIEW v AS SELECT 1 AS a;
      CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE SEQUENCE s; CREATE UNLOGGED TABLE u (id int); CREATE TABLE r (id int REFERENCES p)`);
    const session = await database.session();
    const found = [];
    for (const name of ['p', 'p1', 'v', 'm', 's', 'u', 'p1_pkey']) {
      const { kind, persistence, isPartition, hasChildren } = (await readRelation(session, 'public', name))!;
      found.push([name, kind, persistence, isPartition, hasChildren]);
    }
    expect(found).toEqual([
      ['p', 'PARTITIONED', 'PERMANENT', false, true],
      ['p1', 'TABLE', 'PERMANENT', true, false],
      ['v', 'VIEW', 'PERMANENT', false, false],
      ['m', 'MATERIALIZED_VIEW', 'PERMANENT', false, false],
      ['s', 'SEQUENCE', 'PERMANENT', false, false],
      ['u', 'TABLE', 'UNLOGGED', false, false],
      ['p1_pkey', 'INDEX', 'PERMANENT', true, false],
    ]);
    expect((await readRelation(session, 'public', 'p1'))!.inbound.map(({ table }) => table)).toEqual(['r']);
    expect(await readRelationByOid(session, 1)).toBeNull();
    await database.drop();
  });

  it('tells databases apart, whoever asks', async () => {
    const [one, other] = [await testDatabase(version), await testDatabase(version)];
    const [first, second] = [
      await readIdentity(await one.session()),
      await readIdentity(await other.session()),
    ];
    expect(first.systemIdentifier).toMatch(/^\d{15,}$/);
    expect([
      first.databaseName,
      first.systemIdentifier === second.systemIdentifier,
      first.databaseOid === second.databaseOid,
    ]).toEqual([one.name, true, false]);
    await Promise.all([one.drop(), other.drop()]);
  });
});
