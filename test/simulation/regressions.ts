/** Seeds that found a bug of the product once, with what it was. They are played in every run. */
export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = [];
