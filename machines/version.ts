/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "2bdf33cd6b35b8ee";
