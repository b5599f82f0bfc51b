/** Growing columns of numbers: twice as long, the same content. */
export function grown<Column extends Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(column: Column): Column {
  const larger = new (column.constructor as new (length: number) => Column)(column.length * 2);
  larger.set(column);
  return larger;
}
