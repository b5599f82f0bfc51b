/** From an error of Node or LevelDB to a DiskError: one sentence that says what to do. */
import { DiskError } from '../disk-error.ts';

/** @param path what was being opened or written, as the operator knows it: the data directory or a file in it */
export function diskErrorOf(error: unknown, path: string): DiskError {
  if (error instanceof DiskError) return error;
  const { code, message } = rootOf(error);
  switch (code) {
    case 'LEVEL_LOCKED':
      return new DiskError('locked', lockedSentence(path), error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new DiskError(
        'permission',
        `${path} cannot be written; give this user write access or choose another --data`,
        error,
      );
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
      return new DiskError(
        'not-a-directory',
        `${path} is in the way of a directory; move it or choose another --data`,
        error,
      );
    case 'ENOSPC':
    case 'EDQUOT':
      return new DiskError('full', `the disk under ${path} is full; free some space and start again`, error);
    case 'EMFILE':
    case 'ENFILE':
      return new DiskError(
        'resources',
        `too many open files while using ${path}; raise the limit (ulimit -n) and start again`,
        error,
      );
    case 'LEVEL_CORRUPTION':
      return new DiskError(
        'damaged',
        `${path} is damaged (${message}); run \`quorate verify\` on it, or start this node with an empty --data`,
        error,
      );
    default:
      return new DiskError(
        'io',
        `the disk under ${path} failed (${message}); check it, then start again or use an empty --data`,
        error,
      );
  }
}

function lockedSentence(path: string): string {
  return `the data directory ${path} is in use by another process; stop it or choose another --data`;
}

/** The innermost error that has a code. LevelDB names the errno only in words. */
function rootOf(error: unknown): { code: string; message: string } {
  let code = '';
  let message = String(error);
  for (let at = error; at instanceof Error; at = at.cause) {
    message = at.message;
    if ('code' in at && typeof at.code === 'string') code = at.code;
  }
  if (code === 'LEVEL_IO_ERROR') {
    for (const [words, errno] of levelErrors) if (message.includes(words)) return { code: errno, message };
  }
  return { code, message };
}

const levelErrors: readonly (readonly [words: string, errno: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Permission denied', 'EACCES'],
  ['Operation not permitted', 'EPERM'],
  ['Read-only file system', 'EROFS'],
  ['Not a directory', 'ENOTDIR'],
  ['Is a directory', 'EISDIR'],
  ['Too many open files', 'EMFILE'],
];
