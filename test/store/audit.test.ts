import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeAudit } from '../../src/store/audit.ts';
import type { Store } from '../../src/store/open-store.ts';
import { testStore } from '../support/postgres.ts';

const entry = (subject: string, detail: Record<string, unknown> = {}) => ({
  actor: 'alice',
  action: 'startRun',
  subject,
  outcome: 'SUCCEEDED',
  detail,
});

describe('the audit chain', () => {
  let opened: Awaited<ReturnType<typeof testStore>>;
  let store: Store;
  beforeEach(async () => {
    opened = await testStore();
    store = opened.store;
  });
  afterEach(() => opened.close());

  it('keeps what was recorded, newest first, page by page', async () => {
    const audit = makeAudit(store);
    for (const subject of ['a', 'b', 'c']) await audit.record(entry(subject));
    const first = await audit.list({ first: 2 });
    expect(first.edges.map(({ node }) => `${node.sequence} ${node.subject}`)).toEqual(['3 c', '2 b']);
    const rest = await audit.list({ first: 2, after: first.edges[1]?.cursor ?? null });
    expect(rest.edges.map(({ node }) => node.subject)).toEqual(['a']);
    expect({ first: first.hasNextPage, rest: rest.hasNextPage }).toEqual({ first: true, rest: false });
  });

  it('is one chain without gaps when many write at once', async () => {
    const [one, other] = [makeAudit(store), makeAudit(store)];
    await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 ? one : other).record(entry(`run ${i}`))));
    expect(await makeAudit(store).verify()).toMatchObject({ ok: true, checked: 30 });
    const all = await makeAudit(store).list({ first: 100 });
    expect(new Set(all.edges.map(({ node }) => node.subject)).size).toBe(30);
  });

  it('verifies whatever a caller may have sent', async () => {
    const audit = makeAudit(store);
    await audit.record(
      entry('odd \0 text', {
        nul: 'a\0b',
        half: 'a\ud800b',
        emoji: '🐘',
        numbers: [0, -0, 1e21, 0.1, 1e-7, Number.NaN],
        nested: { b: 1, a: { é: null, Z: true, '': 'empty' } },
        when: new Date(0),
        long: 'x'.repeat(50_000),
        missing: undefined,
      }),
    );
    expect(await audit.verify()).toMatchObject({ ok: true, checked: 1 });
    const { edges } = await audit.list({});
    expect(edges[0]?.node.detail['long']).toMatch(/\(50000 characters\)$/);
  });

  it('cannot be changed by an ordinary statement', async () => {
    await makeAudit(store).record(entry('a'));
    for (const sql of [
      `UPDATE audit_event SET actor = 'bob'`,
      'DELETE FROM audit_event',
      'TRUNCATE audit_event',
    ]) {
      await expect(store.prisma.$executeRawUnsafe(sql)).rejects.toThrow(/append-only/);
    }
    expect(await makeAudit(store).verify()).toMatchObject({ ok: true, checked: 1 });
  });

  const tamperings: [string, string, object][] = [
    [
      'content',
      `UPDATE audit_event SET actor = 'bob' WHERE sequence = 3`,
      { sequence: 3, problem: expect.stringContaining('changed') },
    ],
    [
      'a missing event',
      'DELETE FROM audit_event WHERE sequence = 3',
      { sequence: 4, problem: expect.stringContaining('missing') },
    ],
    ['a forged hash', `UPDATE audit_event SET hash = repeat('0', 64) WHERE sequence = 3`, { sequence: 3 }],
    [
      'the order of two events',
      `UPDATE audit_event a SET at = b.at, subject = b.subject, detail = b.detail, previous = b.previous, hash = b.hash
         FROM audit_event b WHERE a.sequence IN (3, 4) AND b.sequence = 7 - a.sequence`,
      { sequence: 3, problem: expect.stringContaining('does not follow') },
    ],
    ['time', `UPDATE audit_event SET at = at + interval '1 ms' WHERE sequence = 3`, { sequence: 3 }],
  ];
  for (const [what, sql, verdict] of tamperings) {
    it(`names the event when somebody with the rights of a superuser has tampered with ${what}`, async () => {
      const audit = makeAudit(store);
      for (const subject of ['a', 'b', 'c', 'd', 'e']) await audit.record(entry(subject));
      await store.prisma.$executeRawUnsafe('ALTER TABLE audit_event DISABLE TRIGGER ALL');
      expect(await store.prisma.$executeRawUnsafe(sql)).toBeGreaterThan(0);
      expect(await audit.verify()).toMatchObject({ ok: false, ...verdict });
    });
  }

  it('shows by what was seen of it earlier that its end was cut off, or that it was written anew', async () => {
    const audit = makeAudit(store);
    for (const subject of ['a', 'b', 'c']) await audit.record(entry(subject));
    const { checked: sequence, head: hash } = (await audit.verify()) as { checked: number; head: string };
    await audit.record(entry('d'));
    expect(await audit.verify({ sequence, hash })).toMatchObject({ ok: true, checked: 4 });
    expect(await audit.verify({ sequence, hash: '0'.repeat(64) })).toMatchObject({ ok: false, sequence: 3 });
    await store.prisma.$executeRawUnsafe('ALTER TABLE audit_event DISABLE TRIGGER ALL');
    await store.prisma.$executeRawUnsafe('DELETE FROM audit_event WHERE sequence > 2');
    expect(await audit.verify()).toMatchObject({ ok: true, checked: 2 });
    expect(await audit.verify({ sequence, hash })).toMatchObject({ ok: false, sequence: 3 });
  });
});
