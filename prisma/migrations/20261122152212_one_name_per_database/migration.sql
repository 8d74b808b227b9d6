-- CreateIndex
CREATE UNIQUE INDEX "database_systemIdentifier_databaseOid_key" ON "database"("systemIdentifier", "databaseOid");
