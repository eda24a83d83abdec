/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "c44a0debdec63c1a";
