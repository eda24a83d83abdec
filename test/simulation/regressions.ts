/** Seeds that found a bug of the product once, with what it was. They are played in every run. */
export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = [
  {
    seed: 1_002_621,
    found: "a request that waited while a second capture was given back got that state's answer, not the stored one",
  },
];
