-- AlterTable
ALTER TABLE "policy" ADD COLUMN     "jitterSeconds" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "missed" TEXT NOT NULL DEFAULT 'SKIP',
ADD COLUMN     "nextTickAt" TIMESTAMPTZ(6),
ADD COLUMN     "window" JSONB;

-- CreateTable
CREATE TABLE "policy_turn" (
    "id" UUID NOT NULL,
    "policyName" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "tickAt" TIMESTAMPTZ(6),
    "requestedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "outcome" TEXT NOT NULL,
    "detail" TEXT,
    "attempt" INTEGER NOT NULL DEFAULT 1,
    "leaseUntil" TIMESTAMPTZ(6),
    "planId" UUID,
    "runId" UUID,

    CONSTRAINT "policy_turn_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "policy_turn_policyName_createdAt_idx" ON "policy_turn"("policyName", "createdAt" DESC);

-- CreateIndex
CREATE INDEX "policy_turn_outcome_leaseUntil_idx" ON "policy_turn"("outcome", "leaseUntil");

-- CreateIndex
CREATE UNIQUE INDEX "policy_turn_policyName_key_key" ON "policy_turn"("policyName", "key");

-- CreateIndex
CREATE INDEX "policy_nextRunAt_idx" ON "policy"("nextRunAt");

-- AddForeignKey
ALTER TABLE "policy_turn" ADD CONSTRAINT "policy_turn_policyName_fkey" FOREIGN KEY ("policyName") REFERENCES "policy"("name") ON DELETE CASCADE ON UPDATE CASCADE;
