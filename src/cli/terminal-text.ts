/** Text of unknown origin on a terminal: made harmless, measured and cut by columns, coloured on request. */
import { stripVTControlCharacters } from 'node:util';

/** Names come from outside: nothing in them may move the cursor, change colours or break a line. */
export function clean(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** Text of which every character takes one column: nearly all there is. */
const narrow = /^[\u0020-\u007E\u2500-\u259F…✗µ]*$/;

/** Columns a terminal needs: two for wide characters, none for combining ones. Close enough for alignment. */
export function columnsOf(text: string): number {
  if (narrow.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += characterColumns(character);
  return columns;
}

function characterColumns(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return /[ᄀ-ᅟ⺀-꓏가-힣豈-﫿︰-﹏＀-｠￠-￦]|\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
}

/** The text cut to `columns`, with an ellipsis when something is gone. */
export function fit(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  if (narrow.test(text)) return `${text.slice(0, columns - 1)}…`;
  let kept = '';
  let used = 1;
  for (const character of text) {
    used += characterColumns(character);
    if (used > columns) break;
    kept += character;
  }
  return `${kept}…`;
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
type Colour = keyof typeof codes;

/** Paints text, or leaves it as it is when colours are not `enabled`. */
export function painter(enabled: boolean): (colour: Colour, text: string) => string {
  return (colour, text) => (enabled && text !== '' ? `\u001B[${codes[colour]}m${text}\u001B[0m` : text);
}

/** Colours only where a person looks, and never against https://no-color.org. */
export function wantsColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
}
