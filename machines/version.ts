/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "786363647c7fa0c3";
