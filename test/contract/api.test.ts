import { readFileSync } from 'node:fs';
import { type Change, CriticalityLevel, diff } from '@graphql-inspector/core';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { buildApiSchema } from '../../src/graphql/schema.ts';

const CONTRACT = new URL('contract.graphql', import.meta.url);

describe('the API', () => {
  let changes: Change[];

  beforeAll(async () => {
    changes = await diff(buildSchema(readFileSync(CONTRACT, 'utf8')), buildApiSchema());
  });

  const described = (chosen: Change[]) => chosen.map(({ path, message }) => `${path ?? ''}: ${message}`);

  it('has everything that the contract promises, under the same name and with the same meaning', () => {
    expect(
      described(changes.filter((change) => change.criticality.level === CriticalityLevel.Breaking)),
    ).toEqual([]);
  });

  it('has the defaults that the contract promises', () => {
    expect(
      described(changes.filter((change) => /DEFAULT_(VALUE_)?CHANGED/.test(String(change.type)))),
    ).toEqual([]);
  });

  it('adds to the contract, so that a comparison of nothing with nothing would show', () => {
    expect(
      changes.filter((change) => change.criticality.level === CriticalityLevel.NonBreaking).length,
    ).toBeGreaterThan(0);
  });
});
