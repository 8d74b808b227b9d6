import { startBenchServer } from '/work/main/bench/bench-server.ts';
import { makeTemplate } from '/work/main/bench/bench-table.ts';
import { Session, BATCH_SETTINGS } from '/work/main/src/target/session.ts';
import { fingerprintSql } from '/work/main/src/target/fingerprint.ts';
import { toText, sql } from '/work/main/src/target/sql.ts';
import { ensureLedger, takeFence, fenceCheck, batchEntry } from '/work/main/src/target/ledger.ts';
const server = await startBenchServer();
await makeTemplate(server, 'x', 300000);
const s = await Session.open({host:server.host, ip:server.host, port:server.port, user:server.user, database:'x', password:()=>Promise.resolve(server.password), tls:'DISABLE'}, {...BATCH_SETTINGS, applicationName:'declutter/x'});
await ensureLedger(s);
const run='00000000-0000-0000-0000-000000000001';
let pos = await takeFence(s, run, 'h', 'w');
const { oid } = await s.one<{oid:number}>(sql`SELECT 'records'::regclass::oid::int4 AS oid`);
const time = async (name: string, n: number, f: (i:number) => Promise<unknown>) => { const t=performance.now(); for (let i=0;i<n;i++) await f(i); console.log(name, ((performance.now()-t)/n).toFixed(3),'ms'); };
for (let k=0;k<2;k++) {
await time('begin+rollback', 200, async () => { await s.script(s.begin()); await s.rollback(); });
await time('begin+fence+rollback', 200, async () => { await s.script(`${s.begin()}; ${fenceCheck(run)}`); await s.rollback(); });
await time('begin+fence+fp+rollback', 200, async () => { await s.script(`${s.begin()}; ${fenceCheck(run)}; ${toText(fingerprintSql(oid))}`); await s.rollback(); });
if (k===0) await s.script(`PREPARE fp AS ${toText(fingerprintSql(oid))}`);
await time('begin+fence+prepared fp+rollback', 200, async () => { await s.script(`${s.begin()}; ${fenceCheck(run)}; EXECUTE fp`); await s.rollback(); });
await time('full empty with commit', 200, async () => { await s.script(`${s.begin()}; ${fenceCheck(run)}; EXECUTE fp`); await s.script(`${batchEntry(run, pos, {rows:1, cursor:{a:1}, frame:null}, 1)}; COMMIT`); pos={...pos, number:pos.number+1}; });
let b=k*2000;
await time('delete 60 blocks', 30, async () => { await s.script(s.begin()); await s.execute(sql`DELETE FROM ONLY records WHERE ctid >= ${'('+b+',0)'}::tid AND ctid < ${'('+(b+60)+',0)'}::tid AND id % 3 = 0`); await s.script('COMMIT'); b+=60; });
}
await s.close(); await server.stop();
