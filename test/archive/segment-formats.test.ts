import { describe, expect, it } from '@jest/globals';
import type { StoredBytes } from '../../src/archive/archive-store.ts';
import { makeArchiveKeys } from '../../src/archive/archive-keys.ts';
import { countLines } from '../../src/archive/count-lines.ts';
import { readExactly } from '../../src/archive/read-file.ts';
import type { SegmentFormat } from '../../src/archive/segment-format.ts';
import { segmentFormat } from '../../src/archive/segment-formats.ts';
import { decompress } from '../../src/archive/zstd.ts';
import type { ArchiveFormat } from '../../src/domain/words.ts';

const RUN = '7f1e2c7e-0f3a-4a7e-9a55-0c1f6f0e0001';
const OTHER_RUN = '7f1e2c7e-0f3a-4a7e-9a55-0c1f6f0e0002';
const KEYS = makeArchiveKeys([Buffer.alloc(32, 1)]);
const FORMATS: readonly ArchiveFormat[] = ['COPY_ZSTD', 'JSONL_ZSTD', 'PARQUET'];

/** Values as COPY writes them, by type: those that are easily spoilt, and some that Parquet's own types cannot hold. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  smallint: ['-32768', '0', '32767', '\\N'],
  integer: ['-2147483648', '7', '\\N', '2147483647'],
  bigint: ['-9223372036854775808', '9007199254740993', '9223372036854775807', '\\N'],
  'pg_catalog.oid': ['4294967295', '0', '\\N'],
  boolean: ['t', 'f', '\\N', 't', 't'],
  real: [
    '0.1',
    '1e-37',
    'NaN',
    'Infinity',
    '-Infinity',
    '-0',
    '1e+06',
    '123456',
    '16777216',
    '1e-45',
    '3.4028235e+38',
  ],
  'double precision': [
    '0.1',
    '1e-307',
    '-0',
    'NaN',
    '-Infinity',
    '5e-324',
    '1e+15',
    '123456789012345',
    '0.0001',
    '1e-05',
  ],
  'numeric(5,2)': ['-0.01', '999.99', 'NaN', '\\N', '0.00'],
  'numeric(30,10)': ['-12345678901234567890.0000000001', '0.1428571429', '\\N'],
  'numeric(40,2)': ['12345678901234567890123456789012345678.00', '\\N'],
  'numeric(3,5)': ['0.00999', '\\N'],
  numeric: ['123456789012345678901234567890.000000001', 'Infinity', '1.10', '1.1000'],
  'pg_catalog.date': [
    '2024-02-29',
    '0001-01-01',
    '9999-12-31',
    'infinity',
    '-infinity',
    '0044-03-15 BC',
    '10000-01-01',
    '\\N',
  ],
  'time without time zone': ['23:59:59.999999', '00:00:00', '24:00:00', '12:30:00.1', '\\N'],
  'time(3) without time zone': ['23:59:59.999', '00:00:00.01'],
  'timestamp without time zone': [
    '1969-12-31 23:59:59.999999',
    '0001-01-01 00:00:00.000001 BC',
    '2024-03-31 02:30:00',
    'infinity',
    '294276-12-31 23:59:59.999999',
  ],
  'timestamp(3) with time zone': ['2024-03-31 02:30:00.123+00', '-infinity', '0001-01-01 00:00:00+00', '\\N'],
  'pg_catalog.uuid': ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\\N'],
  'pg_catalog.bytea': ['\\\\x', '\\\\x00ff5c0a', '\\N'],
  'pg_catalog.text': [
    '',
    '\\N',
    '\\\\N',
    '\\\\.',
    '\\\\',
    'tab\\tnew\\nline\\rcr\\bb\\ff\\vv',
    '"quotes"',
    "'",
    '☃ 𝄞 \u2028 \u0001 \u001f \u007f',
    'null',
    '{"a":1}',
    '</script>',
    ' ',
  ],
  'public.mood[]': ['{happy,"sad, really",NULL}', '{}', '{"\\\\"q\\\\""}'],
};

const columns = Object.keys(VALUES).map((type, i) => ({
  name: i === 0 ? 'de"cl\\utter\n☃' : i === 1 ? 'Declutter_Row' : `c${i}`,
  type,
}));

/** As many rows as it takes to have each value of each column several times, in every company. */
const text = Buffer.from(
  Array.from({ length: 300 }, (_, row) =>
    Object.values(VALUES)
      .map((values, column) => values[(row * (column + 1) + (row >> 4)) % values.length])
      .join('\t'),
  )
    .map((line) => `${line}\n`)
    .join(''),
);
const [first, second] = [text.subarray(0, cut(100)), text.subarray(cut(100))];

function cut(rows: number): number {
  let at = 0;
  for (let row = 0; row < rows; row += 1) at = text.indexOf(10, at) + 1;
  return at;
}

const make = (
  format: ArchiveFormat,
  encryptedFor: string | null,
  runId = encryptedFor ?? RUN,
): SegmentFormat =>
  segmentFormat(
    {
      runId,
      format,
      content: {
        columns,
        ...(encryptedFor !== null && { encryption: { cipher: 'AES-256-GCM', keyId: KEYS[0]?.id ?? '' } }),
      },
    },
    KEYS,
  );

const inMemory = (bytes: Buffer): StoredBytes => ({
  read: (into, offset, length, position) =>
    Promise.resolve({ bytesRead: bytes.copy(into, offset, position, position + length) }),
});

/** Frames in a row with what the format ends with: a sealed segment. */
async function sealed(format: SegmentFormat, frames: readonly Buffer[]): Promise<Buffer> {
  const ending = await format.ending(async function* () {
    yield* frames;
  });
  return Buffer.concat([...frames, ...(ending === null ? [] : [ending])]);
}

async function read(format: SegmentFormat, segment: Buffer): Promise<Buffer[]> {
  const file = inMemory(segment);
  const positions = await format.positions(file, segment.length);
  return Promise.all(
    positions.map(async ({ start, length }) => format.decode(await readExactly(file, start, length))),
  );
}

const cases = FORMATS.flatMap((format) => [
  { format, encryption: 'in the clear', run: null },
  { format, encryption: 'encrypted', run: RUN },
]);

describe.each(cases)('a segment in $format, $encryption', ({ format: name, run }) => {
  const format = make(name, run);

  it('gives each batch of COPY text back to the last byte, NULLs and hostile values too', async () => {
    expect(countLines(text)).toBe(300);
    const frames = [await format.encode(first), await format.encode(second)];
    const back = await read(format, await sealed(format, frames));
    expect(back.map(String)).toEqual([String(first), String(second)]);
  });

  it('of one batch can be read with and without an ending', async () => {
    const frame = await format.encode(first);
    for (const segment of [frame, await sealed(format, [frame])])
      expect((await read(format, segment)).map(String)).toEqual([String(first)]);
  });
});

describe('a segment in JSONL_ZSTD', () => {
  it('has an object for each row, whose values are their text, or what every reader takes exactly', async () => {
    const lines = String(await decompress(await make('JSONL_ZSTD', null).encode(text)))
      .split('\n')
      .slice(0, -1);
    expect(lines.length).toBe(300);
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.every((row) => Object.keys(row).join() === columns.map((column) => column.name).join())).toBe(
      true,
    );
    const seen = (type: string) =>
      new Set(rows.map((row) => row[columns.find((column) => column.type === type)?.name ?? '']));
    expect(seen('smallint')).toEqual(new Set([-32768, 0, 32767, null]));
    expect(seen('boolean')).toEqual(new Set([true, false, null]));
    expect(seen('bigint')).toContain('9007199254740993');
    expect(seen('pg_catalog.text')).toContain('tab\tnew\nline\rcr\bb\ff\vv');
    expect(seen('pg_catalog.text')).toContain('\\N');
    expect(seen('pg_catalog.bytea')).toContain('\\x00ff5c0a');
  });
});

describe('bytes that are no UTF-8', () => {
  it.each(['JSONL_ZSTD', 'PARQUET'] as const)(
    'are refused by %s, which could not keep them',
    async (name) => {
      const format = segmentFormat(
        { runId: RUN, format: name, content: { columns: [{ name: 'a', type: 'text' }] } },
        [],
      );
      await expect(async () => format.encode(Buffer.from([0x61, 0xff, 0x0a]))).rejects.toMatchObject({
        stateCode: 'ARCHIVE_FORMAT',
      });
    },
  );
});

describe('an encrypted segment', () => {
  it.each(FORMATS)('shows nothing of its rows and names in %s, and is never twice the same', async (name) => {
    const format = make(name, RUN);
    const [one, other] = [await format.encode(first), await format.encode(first)];
    expect(one.equals(other)).toBe(false);
    expect(one.includes('Declutter_Row')).toBe(false);
  });

  it('cannot be read when any one byte of it was changed', async () => {
    const format = make('COPY_ZSTD', RUN);
    const frame = await format.encode(Buffer.from('1\t2\n'));
    for (let at = 0; at < frame.length; at += 1) {
      const changed = Buffer.from(frame);
      changed[at] = (changed[at] as number) ^ 1;
      await expect(async () => format.decode(changed)).rejects.toMatchObject({
        stateCode: 'ARCHIVE_DAMAGED',
      });
    }
  });

  it('of one run cannot stand for that of another', async () => {
    const frame = await make('COPY_ZSTD', OTHER_RUN).encode(first);
    await expect(async () => make('COPY_ZSTD', RUN).decode(frame)).rejects.toMatchObject({
      stateCode: 'ARCHIVE_DAMAGED',
    });
  });

  it('is read with an older key as long as that is configured, and named where it is not', async () => {
    const keys = makeArchiveKeys([Buffer.alloc(32, 2), Buffer.alloc(32, 1)]);
    const keyId = KEYS[0]?.id ?? '';
    const written = {
      runId: RUN,
      format: 'COPY_ZSTD',
      content: { columns, encryption: { cipher: 'AES-256-GCM', keyId } },
    } as const;
    const frame = await make('COPY_ZSTD', RUN).encode(first);
    expect((await segmentFormat(written, keys).decode(frame)).equals(first)).toBe(true);
    expect(() => segmentFormat(written, keys.slice(0, 1))).toThrow(
      expect.objectContaining({ stateCode: 'ARCHIVE_KEY', message: expect.stringContaining(keyId) }),
    );
  });
});
