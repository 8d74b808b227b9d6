import { count } from '../cli/client/format.ts';

export type Figure = string | number | boolean | null;

/** Figures that must agree; what does not is remembered until the end. */
export interface Checks {
  /** All figures must be the same. The names say where each comes from. */
  same(what: string, figures: Readonly<Record<string, Figure>>): void;
  holds(what: string, held: boolean): void;
  readonly made: () => number;
  readonly wrong: () => readonly string[];
}

export function makeChecks(print: (line: string) => void): Checks {
  const wrong: string[] = [];
  let made = 0;
  const record = (text: string, held: boolean) => {
    made += 1;
    if (!held) wrong.push(text);
    print(`  ${held ? '✓' : '✗ WRONG:'} ${text}`);
  };
  return {
    same(what, figures) {
      const parts = Object.entries(figures).map(([name, figure]) => `${name} ${shown(figure)}`);
      const held = new Set(Object.values(figures)).size === 1;
      record(`${what}: ${parts.join(held ? ' = ' : ', but ')}`, held);
    },
    holds: record,
    made: () => made,
    wrong: () => wrong,
  };
}

const shown = (figure: Figure) => (typeof figure === 'number' ? count(figure) : String(figure));
