-- AlterTable
ALTER TABLE "snapshot" ADD COLUMN     "notJudged" JSONB NOT NULL DEFAULT '[]';
