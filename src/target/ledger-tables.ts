import type { Session } from './session.ts';
import { sql } from './sql.ts';

/**
 * The ledger: schema declutter in the target. What has happened to rows, written in the same transaction as the rows it
 * speaks of. Batches are only ever added, so that an old snapshot held by somebody else does not make us walk over dead rows.
 */
const LEDGER_DDL = `
COMMENT ON SCHEMA declutter IS 'The ledger of Declutter: what its runs have done to rows. Written in the batches'' own transactions.';
CREATE TABLE IF NOT EXISTS declutter.run (
  id uuid PRIMARY KEY,
  plan_hash text NOT NULL,
  protocol int NOT NULL,
  fence bigint NOT NULL,
  worker text NOT NULL,
  backend_pid int NOT NULL,
  backend_start timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE TABLE IF NOT EXISTS declutter.lane (
  run_id uuid NOT NULL REFERENCES declutter.run,
  lane int NOT NULL,
  fence bigint NOT NULL,
  PRIMARY KEY (run_id, lane)
);
CREATE TABLE IF NOT EXISTS declutter.batch (
  run_id uuid NOT NULL REFERENCES declutter.run,
  number int NOT NULL,
  fence bigint NOT NULL,
  cursor jsonb NOT NULL,
  rows bigint NOT NULL,
  total_rows bigint NOT NULL,
  segment int,
  start bigint,
  length bigint,
  sha256 text,
  row_hash numeric,
  ms real NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (run_id, number)
);
CREATE TABLE IF NOT EXISTS declutter.segment (
  run_id uuid NOT NULL REFERENCES declutter.run,
  sequence int NOT NULL,
  location text NOT NULL,
  fence bigint NOT NULL,
  sealed boolean NOT NULL DEFAULT false,
  rows bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  sha256 text,
  PRIMARY KEY (run_id, sequence)
);
CREATE TABLE IF NOT EXISTS declutter.part (
  run_id uuid NOT NULL,
  number int NOT NULL,
  part int NOT NULL,
  rows bigint NOT NULL,
  segment int,
  start bigint,
  length bigint,
  sha256 text,
  row_hash numeric,
  PRIMARY KEY (run_id, number, part)
);
CREATE TABLE IF NOT EXISTS declutter.hold (
  id uuid PRIMARY KEY,
  relation oid,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  reason text NOT NULL
);`;

/** Makes the ledger, or what an older one lacks. */
export async function ensureLedger(session: Session): Promise<void> {
  const { present } = await session.one<{ present: boolean }>(
    sql`SELECT pg_catalog.to_regclass('declutter.hold') IS NOT NULL AS present`,
  );
  if (present) return;
  await session.transaction(async () => {
    await session.query(
      sql`SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('declutter.ledger', 0))`,
    );
    // An older ledger gets what came since: new tables, which nobody waits for. The right to make schemas may be gone by then.
    const { schema } = await session.one<{ schema: boolean }>(
      sql`SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'declutter') AS schema`,
    );
    await session.script(`${schema ? '' : 'CREATE SCHEMA declutter;'}${LEDGER_DDL}`);
  });
}
