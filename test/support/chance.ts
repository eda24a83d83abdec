/** Chance that a seed repeats. */
export type Chance = () => number;

/** Uniform in [0, 1): mulberry32. */
export function seededChance(seed: number): Chance {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<Item>(items: readonly Item[], chance: Chance): Item[] {
  const keyed = items.map((item) => ({ item, key: chance() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/**
 * Deals every card once in random order, then shuffles anew. Rates are exact then, and a short run can't miss a rare card
 * by bad luck.
 */
export function dealer<Card>(cards: readonly Card[], chance: Chance): () => Card {
  let deck: Card[] = [];
  return () => {
    if (deck.length === 0) deck = shuffled(cards, chance);
    const card = deck.pop();
    if (card === undefined) throw new Error("A deck has at least one card.");
    return card;
  };
}
