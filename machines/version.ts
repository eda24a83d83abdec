/** Made by `npm run machine:version`; stored with every checkout. */
export const MACHINE_HASH = "a6fb7eed4d09d0ea";
