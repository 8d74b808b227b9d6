const UNITS: readonly (readonly [milliseconds: number, name: string])[] = [
  [86_400_000, 'days'],
  [3_600_000, 'hours'],
  [60_000, 'minutes'],
  [1_000, 'seconds'],
];

/** In the largest unit that there are two of: 36 hours, 2 days. */
export function durationInWords(milliseconds: number): string {
  const [size, name] = UNITS.find(([unit]) => milliseconds >= 2 * unit) ?? [1_000, 'seconds'];
  return `${Math.max(Math.floor(milliseconds / size), 0)} ${name}`;
}
