-- CreateEnum
CREATE TYPE "Environment" AS ENUM ('DEVELOPMENT', 'STAGING', 'PRODUCTION');

-- CreateEnum
CREATE TYPE "TlsMode" AS ENUM ('DISABLE', 'REQUIRE', 'VERIFY_FULL');

-- CreateEnum
CREATE TYPE "Severity" AS ENUM ('INFO', 'NOTICE', 'WARNING', 'CRITICAL');

-- CreateEnum
CREATE TYPE "PlanState" AS ENUM ('READY', 'NEEDS_APPROVAL', 'APPROVED', 'REJECTED', 'BLOCKED', 'STARTED', 'EXPIRED', 'STALE');

-- CreateEnum
CREATE TYPE "RunState" AS ENUM ('QUEUED', 'RUNNING', 'PAUSING', 'PAUSED', 'CANCELLING', 'CANCELLED', 'INTERRUPTED', 'SUCCEEDED', 'FAILED');

-- CreateEnum
CREATE TYPE "ApprovalDecision" AS ENUM ('APPROVED', 'REJECTED');

-- CreateEnum
CREATE TYPE "ArchiveKind" AS ENUM ('TABLE', 'FILES', 'S3');

-- CreateTable
CREATE TABLE "database" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "host" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "database" TEXT NOT NULL,
    "user" TEXT NOT NULL,
    "passwordRef" TEXT,
    "passwordBox" BYTEA,
    "tls" "TlsMode" NOT NULL,
    "caRef" TEXT,
    "environment" "Environment" NOT NULL,
    "allowSuperuser" BOOLEAN NOT NULL DEFAULT false,
    "replicas" JSONB NOT NULL DEFAULT '[]',
    "systemIdentifier" TEXT,
    "databaseOid" BIGINT,
    "serverVersion" TEXT,
    "unreachable" TEXT,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT NOT NULL,

    CONSTRAINT "database_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "snapshot" (
    "id" UUID NOT NULL,
    "databaseId" UUID NOT NULL,
    "takenAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "exact" BOOLEAN NOT NULL,
    "durationMs" INTEGER NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "wastedBytes" BIGINT NOT NULL,

    CONSTRAINT "snapshot_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "table_sample" (
    "snapshotId" UUID NOT NULL,
    "schema" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "liveRows" BIGINT NOT NULL,
    "deadRows" BIGINT NOT NULL,
    "totalBytes" BIGINT NOT NULL,
    "heapBytes" BIGINT NOT NULL,
    "toastBytes" BIGINT NOT NULL,
    "indexBytes" BIGINT NOT NULL,
    "wastedBytes" BIGINT,
    "bloat" JSONB NOT NULL,
    "indexes" JSONB NOT NULL,
    "lastVacuumAt" TIMESTAMPTZ(6),
    "lastAnalyzeAt" TIMESTAMPTZ(6),

    CONSTRAINT "table_sample_pkey" PRIMARY KEY ("snapshotId","schema","name")
);

-- CreateTable
CREATE TABLE "finding" (
    "id" TEXT NOT NULL,
    "databaseId" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "severity" "Severity" NOT NULL,
    "schema" TEXT,
    "table" TEXT,
    "index" TEXT,
    "columns" TEXT[],
    "title" TEXT NOT NULL,
    "detail" TEXT NOT NULL,
    "wastedBytes" BIGINT,
    "rows" BIGINT,
    "evidence" JSONB NOT NULL,
    "remedy" JSONB,
    "open" BOOLEAN NOT NULL DEFAULT true,
    "firstSeenAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lastSeenAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "suppressedBy" TEXT,
    "suppressedReason" TEXT,
    "suppressedAt" TIMESTAMPTZ(6),

    CONSTRAINT "finding_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "plan" (
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "state" "PlanState" NOT NULL,
    "hash" TEXT NOT NULL,
    "databaseId" UUID NOT NULL,
    "schema" TEXT,
    "table" TEXT,
    "reason" TEXT,
    "requestedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expiresAt" TIMESTAMPTZ(6) NOT NULL,
    "cutoff" TIMESTAMPTZ(6),
    "needsApproval" BOOLEAN NOT NULL,
    "spec" JSONB NOT NULL,
    "forecast" JSONB NOT NULL,

    CONSTRAINT "plan_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approval" (
    "id" UUID NOT NULL,
    "planId" UUID NOT NULL,
    "hash" TEXT NOT NULL,
    "by" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "decision" "ApprovalDecision" NOT NULL,
    "comment" TEXT,

    CONSTRAINT "approval_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "run" (
    "id" UUID NOT NULL,
    "planId" UUID NOT NULL,
    "databaseId" UUID NOT NULL,
    "state" "RunState" NOT NULL,
    "stateCode" TEXT,
    "stateReason" TEXT,
    "startedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedAt" TIMESTAMPTZ(6),
    "endedAt" TIMESTAMPTZ(6),
    "asked" "RunState",
    "workerId" TEXT,
    "leaseUntil" TIMESTAMPTZ(6),
    "heartbeatAt" TIMESTAMPTZ(6),
    "version" INTEGER NOT NULL DEFAULT 0,
    "throttle" JSONB NOT NULL,
    "throttleActive" BOOLEAN NOT NULL DEFAULT false,
    "throttleReason" TEXT,
    "batchRows" INTEGER NOT NULL DEFAULT 0,
    "rowsDone" BIGINT NOT NULL DEFAULT 0,
    "rowsTotal" BIGINT,
    "rowsPerSecond" DOUBLE PRECISION,
    "batches" INTEGER NOT NULL DEFAULT 0,
    "eventCount" INTEGER NOT NULL DEFAULT 0,
    "result" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "run_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "run_table" (
    "systemIdentifier" TEXT NOT NULL,
    "databaseOid" BIGINT NOT NULL,
    "tableOid" BIGINT NOT NULL,
    "runId" UUID NOT NULL,

    CONSTRAINT "run_table_pkey" PRIMARY KEY ("systemIdentifier","databaseOid","tableOid")
);

-- CreateTable
CREATE TABLE "run_event" (
    "runId" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "kind" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "data" JSONB NOT NULL,

    CONSTRAINT "run_event_pkey" PRIMARY KEY ("runId","sequence")
);

-- CreateTable
CREATE TABLE "archive" (
    "id" UUID NOT NULL,
    "runId" UUID NOT NULL,
    "databaseId" UUID NOT NULL,
    "schema" TEXT NOT NULL,
    "table" TEXT NOT NULL,
    "kind" "ArchiveKind" NOT NULL,
    "format" TEXT,
    "store" TEXT,
    "rows" BIGINT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "verifiedAt" TIMESTAMPTZ(6),
    "content" JSONB NOT NULL,

    CONSTRAINT "archive_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "archive_segment" (
    "archiveId" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "location" TEXT NOT NULL,
    "rows" BIGINT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,

    CONSTRAINT "archive_segment_pkey" PRIMARY KEY ("archiveId","sequence")
);

-- CreateTable
CREATE TABLE "policy" (
    "name" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL,
    "kind" TEXT NOT NULL,
    "input" JSONB NOT NULL,
    "schedule" TEXT,
    "timeZone" TEXT NOT NULL,
    "autoStartMaxRows" BIGINT,
    "nextRunAt" TIMESTAMPTZ(6),
    "lastRunId" UUID,
    "savedBy" TEXT NOT NULL,
    "savedAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "policy_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "hold" (
    "id" UUID NOT NULL,
    "databaseId" UUID NOT NULL,
    "schema" TEXT NOT NULL,
    "table" TEXT NOT NULL,
    "where" JSONB,
    "reason" TEXT NOT NULL,
    "placedBy" TEXT NOT NULL,
    "placedAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "releasedAt" TIMESTAMPTZ(6),
    "releasedBy" TEXT,
    "releaseReason" TEXT,

    CONSTRAINT "hold_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "maintenance_stop" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "on" BOOLEAN NOT NULL,
    "reason" TEXT NOT NULL,
    "since" TIMESTAMPTZ(6),
    "by" TEXT,

    CONSTRAINT "maintenance_stop_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "sequence" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "detail" JSONB NOT NULL,
    "previous" TEXT NOT NULL,
    "hash" TEXT NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("sequence")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "principal" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "request" TEXT NOT NULL,
    "runId" UUID NOT NULL,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("principal","key")
);

-- CreateIndex
CREATE UNIQUE INDEX "database_name_key" ON "database"("name");

-- CreateIndex
CREATE INDEX "snapshot_databaseId_takenAt_idx" ON "snapshot"("databaseId", "takenAt" DESC);

-- CreateIndex
CREATE INDEX "finding_databaseId_open_severity_idx" ON "finding"("databaseId", "open", "severity");

-- CreateIndex
CREATE INDEX "plan_databaseId_createdAt_idx" ON "plan"("databaseId", "createdAt" DESC);

-- CreateIndex
CREATE INDEX "approval_planId_idx" ON "approval"("planId");

-- CreateIndex
CREATE UNIQUE INDEX "run_planId_key" ON "run"("planId");

-- CreateIndex
CREATE INDEX "run_databaseId_createdAt_idx" ON "run"("databaseId", "createdAt" DESC);

-- CreateIndex
CREATE INDEX "run_state_leaseUntil_idx" ON "run"("state", "leaseUntil");

-- CreateIndex
CREATE INDEX "run_table_runId_idx" ON "run_table"("runId");

-- CreateIndex
CREATE UNIQUE INDEX "archive_runId_key" ON "archive"("runId");

-- CreateIndex
CREATE INDEX "archive_databaseId_createdAt_idx" ON "archive"("databaseId", "createdAt" DESC);

-- CreateIndex
CREATE INDEX "hold_databaseId_schema_table_idx" ON "hold"("databaseId", "schema", "table");

-- AddForeignKey
ALTER TABLE "snapshot" ADD CONSTRAINT "snapshot_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "table_sample" ADD CONSTRAINT "table_sample_snapshotId_fkey" FOREIGN KEY ("snapshotId") REFERENCES "snapshot"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "finding" ADD CONSTRAINT "finding_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plan" ADD CONSTRAINT "plan_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "approval" ADD CONSTRAINT "approval_planId_fkey" FOREIGN KEY ("planId") REFERENCES "plan"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_planId_fkey" FOREIGN KEY ("planId") REFERENCES "plan"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run_table" ADD CONSTRAINT "run_table_runId_fkey" FOREIGN KEY ("runId") REFERENCES "run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run_event" ADD CONSTRAINT "run_event_runId_fkey" FOREIGN KEY ("runId") REFERENCES "run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "archive" ADD CONSTRAINT "archive_runId_fkey" FOREIGN KEY ("runId") REFERENCES "run"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "archive" ADD CONSTRAINT "archive_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "archive_segment" ADD CONSTRAINT "archive_segment_archiveId_fkey" FOREIGN KEY ("archiveId") REFERENCES "archive"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "hold" ADD CONSTRAINT "hold_databaseId_fkey" FOREIGN KEY ("databaseId") REFERENCES "database"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
