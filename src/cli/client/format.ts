/** Figures for people to read. Nothing is rounded in --json. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** 1 kB is 1 024 bytes, as in PostgreSQL's pg_size_pretty. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return '?';
  const sign = value < 0 ? '-' : '';
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${sign}${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit] as string}`;
}

/** 1234567 becomes 1 234 567. */
export const count = (value: number | null | undefined): string =>
  value == null
    ? '?'
    : Math.round(value)
        .toString()
        .replace(/\B(?=(\d{3})+$)/g, ' ');

export const percent = (ratio: number | null | undefined): string =>
  ratio == null ? '?' : `${(ratio * 100).toFixed(ratio < 0.1 && ratio > 0 ? 1 : 0)} %`;

export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return '?';
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`;

/** 2026-03-01 14:05:09, in UTC. */
export const instant = (value: string | null | undefined): string =>
  value == null ? '-' : new Date(value).toISOString().slice(0, 19).replace('T', ' ');
