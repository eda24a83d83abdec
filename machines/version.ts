/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "a2af2bfcb5420652";
