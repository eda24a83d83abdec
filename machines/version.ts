/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "0f12a999f8fcd65b";
