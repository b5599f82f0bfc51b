/** Rows as text in columns: the first column to the left, figures to the right, the last to the left again if it is prose. */

export function table(head: readonly string[], rows: readonly (readonly string[])[], prose = -1): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, n) => (n === 0 || n === prose ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))
      .join('   ')
      .trimEnd(),
  );
}
