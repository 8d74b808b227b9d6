/** PostgreSQL's text of values, under the settings that archives are written with, and what the text says. */

const WHOLE = /^-?\d{1,20}$/;
const MAX_INT64 = 2n ** 63n - 1n;

export const whole32 = {
  parse: (text: string): number | null => {
    const value = Number(text);
    return (value | 0) === value ? value : null;
  },
  format: String,
};

export const whole64 = {
  parse: (text: string): bigint | null => {
    const value = WHOLE.test(text) ? BigInt(text) : null;
    return value !== null && value <= MAX_INT64 && value >= -MAX_INT64 - 1n ? value : null;
  },
  format: String,
};

const DECIMAL = /^-?\d+(?:\.\d+)?$/;

/** As the whole number of its smallest unit. */
export const decimalOf = (scale: number) => ({
  parse: (text: string): bigint | null => (DECIMAL.test(text) ? BigInt(text.replace('.', '')) : null),
  format: (value: bigint): string => {
    if (scale === 0) return String(value);
    const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
    return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  },
});

const DAY_MS = 86_400_000;

export const date = {
  parse: (text: string): number | null =>
    /^\d{4}-\d\d-\d\d$/.test(text) ? wholeOrNull(Date.parse(`${text}T00:00:00Z`) / DAY_MS) : null,
  format: (days: number): string => isoOf(days * DAY_MS)?.slice(0, 10) ?? '',
};

const wholeOrNull = (value: number): number | null => (Number.isInteger(value) ? value : null);

/** Null beyond the years that have four digits. */
function isoOf(ms: number): string | null {
  const instant = new Date(ms);
  return Number.isNaN(instant.getTime()) ? null : instant.toISOString();
}

const TIMESTAMP = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?$/;
const MICROSECONDS = 1_000_000n;

/** As microseconds from 1970 on; the zone is what stands behind the time: +00, or nothing. */
export const timestamp = (zone: '' | '+00') => ({
  parse: (text: string): bigint | null => {
    if (!text.endsWith(zone)) return null;
    const match = TIMESTAMP.exec(zone === '' ? text : text.slice(0, -zone.length));
    const ms = match ? wholeOrNull(Date.parse(`${match[1]}T${match[2]}Z`)) : null;
    return ms === null ? null : BigInt(ms) * 1_000n + BigInt((match?.[3] ?? '').padEnd(6, '0'));
  },
  format: (value: bigint): string => {
    const fraction = ((value % MICROSECONDS) + MICROSECONDS) % MICROSECONDS;
    const iso = isoOf(Number((value - fraction) / 1_000n));
    return iso === null
      ? ''
      : `${iso.slice(0, 10)} ${iso.slice(11, 19)}${fractionOf(Number(fraction))}${zone}`;
  },
});

const fractionOf = (microseconds: number): string =>
  microseconds === 0 ? '' : `.${String(microseconds).padStart(6, '0').replace(/0+$/, '')}`;

const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/;
const DAY_US = 86_400_000_000;

/** As microseconds from midnight on. 24:00:00 is no time of day for Parquet. */
export const timeOfDay = {
  parse: (text: string): bigint | null => {
    const [, hours, minutes, seconds, fraction = ''] = TIME.exec(text) ?? [];
    const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    const value = whole * 1_000_000 + Number(fraction.padEnd(6, '0'));
    return value < DAY_US ? BigInt(value) : null;
  },
  format: (value: bigint): string => {
    const us = Number(value);
    const clock = new Date(Math.floor(us / 1_000)).toISOString().slice(11, 19);
    return `${clock}${fractionOf(us % 1_000_000)}`;
  },
};

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** As its 32 digits. */
export const uuid = {
  parse: (text: string): string | null => (UUID.test(text) ? text.replaceAll('-', '') : null),
  format: (digits: string): string =>
    [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map(([from, to]) => digits.slice(from, to)).join('-'),
};

export const double = {
  parse: floatFrom,
  format: (value: number): string => floatText(value, (positive) => positive.toExponential(), 15),
};

export const float = {
  parse: (text: string): number | null => {
    const value = floatFrom(text);
    return value === null ? null : Math.fround(value);
  },
  format: (value: number): string => floatText(value, shortestFloat, 6),
};

function floatFrom(text: string): number | null {
  const value = Number(text);
  return text !== '' && (text === 'NaN' || !Number.isNaN(value)) ? value : null;
}

/** Of a number of 32 bits: six digits always survive, nine always suffice. */
function shortestFloat(positive: number): string {
  for (let digits = 6; digits < 9; digits += 1) {
    const text = positive.toExponential(digits - 1);
    if (Math.fround(Number(text)) === positive) return text.replace(/\.?0+e/, 'e');
  }
  return positive.toExponential(8);
}

/** As PostgreSQL writes its shortest digits: with an exponent below 1e-4, and from the power of ten on that is given. */
function floatText(value: number, shortest: (positive: number) => string, limit: number): string {
  if (!Number.isFinite(value)) return String(value);
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (value === 0) return `${sign}0`;
  const [mantissa = '', power = ''] = shortest(Math.abs(value)).split('e');
  const exponent = Number(power);
  return `${sign}${exponent >= -4 && exponent < limit ? plain(mantissa.replace('.', ''), exponent) : scientific(mantissa, exponent)}`;
}

function plain(digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return digits.length > exponent + 1 ? `${whole}.${digits.slice(exponent + 1)}` : whole;
}

const scientific = (mantissa: string, exponent: number): string =>
  `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
