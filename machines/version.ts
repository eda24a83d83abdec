/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "2ac301fb65f21c3c";
