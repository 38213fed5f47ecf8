// Lies beside the peers' own packages, so that it finds them: the compiled measurements lie elsewhere. `name` is a
// package, or a path into bench/peers for a file that its package does not export.
export const loadPackage = (name) => import(name);
export const peersDir = new URL('./', import.meta.url);
