/**
 * Puts a known bug back (protocol I5): loaded with `--import` before the program, it replaces one piece of one source file
 * as it is read. The piece must occur exactly once, and the file must be loaded, or the process fails: a plant that does
 * not take would prove nothing. The bug comes as JSON in the environment variable PLANT.
 */
import { registerHooks } from 'node:module';

export interface Plant {
  /** Path below the repository's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Exit code of a process whose plant did not take. */
const plantFailedCode = 97;

const planted = process.env['PLANT'];
if (planted !== undefined) {
  const { file, find, replace } = JSON.parse(planted) as Plant;
  let taken = false;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(`/${file}`)) return loaded;
      const { source } = loaded;
      const text = typeof source === 'string' ? source : new TextDecoder().decode(source ?? new Uint8Array(0));
      const pieces = text.split(find);
      if (pieces.length !== 2) {
        process.stderr.write(`plant: the piece occurs ${pieces.length - 1} times in ${file}\n`);
        process.exit(plantFailedCode);
      }
      taken = true;
      return { ...loaded, source: pieces.join(replace) };
    },
  });
  process.on('exit', () => {
    if (taken) return;
    process.stderr.write(`plant: ${file} was never loaded\n`);
    process.exitCode = plantFailedCode;
  });
}
