/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "bb45d53674d5cabd";
