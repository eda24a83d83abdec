/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "eb548b1c5e8b63fa";
