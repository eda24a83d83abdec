/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "755f24a526889fe6";
