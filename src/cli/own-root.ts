/** File URL of the folder with our own modules, with a slash at its end. */
export const OWN_ROOT: string = new URL('../', import.meta.url).href
