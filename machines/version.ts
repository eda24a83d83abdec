/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "25fb3c28f77aae93";
