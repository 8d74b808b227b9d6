import type { Scene } from './scene.ts';

interface Attempt {
  /** of the table of bad inputs: a letter for the subject, and a number */
  readonly id: string;
  readonly input: string;
  readonly expected: string;
  readonly got: (scene: Scene) => Promise<string>;
}

/** What another suite tests already, on a scene of its own. */
interface SeenElsewhere {
  readonly id: string;
  readonly input: string;
  readonly file: string;
  /** its title, or as much of it as tells it from others */
  readonly test: string;
}

export type Row = Attempt | SeenElsewhere;

export const elsewhere = (id: string, input: string, file: string, test: string): Row => ({
  id,
  input,
  file,
  test,
});

/** The same expectation for several inputs. */
export const rows = <Input>(
  id: string,
  expected: string,
  inputs: Readonly<Record<string, Input>>,
  got: (scene: Scene, input: Input) => Promise<string>,
): Row[] =>
  Object.entries(inputs).map(([input, value]) => ({
    id,
    input,
    expected,
    got: (scene) => got(scene, value),
  }));
