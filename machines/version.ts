/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "ff20bd40faeccee8";
