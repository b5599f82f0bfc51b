/** What this program calls itself to other nodes and to operators; the same as in package.json. */
export const version = '0.2.0-dev';
