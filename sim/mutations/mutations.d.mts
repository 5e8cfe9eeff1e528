export const mutations: readonly {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** From which seed on it is tried; 1 where it is not said. */
  readonly seed?: number;
}[];
