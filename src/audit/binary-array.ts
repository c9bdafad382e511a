/**
 * One-dimensional arrays in PostgreSQL's binary form (array_send): a parameter that is a Buffer goes to the server as it
 * is, so thousands of bodies need no quoting on this side and no parsing on the other.
 */
const TEXT_OID = 25;
const BYTEA_OID = 17;
const HEADER_BYTES = 20;

const writeHeader = (target: Buffer, elementOid: number, length: number): void => {
  target.writeInt32BE(1, 0); // dimensions
  target.writeInt32BE(0, 4); // no nulls
  target.writeInt32BE(elementOid, 8);
  target.writeInt32BE(length, 12);
  target.writeInt32BE(1, 16); // lower bound
};

export const textArray = (items: readonly string[]): Buffer => {
  const lengths = items.map((item) => Buffer.byteLength(item));
  const array = Buffer.allocUnsafe(HEADER_BYTES + lengths.reduce((sum, length) => sum + 4 + length, 0));
  writeHeader(array, TEXT_OID, items.length);
  let at = HEADER_BYTES;
  items.forEach((item, i) => {
    array.writeInt32BE(lengths[i]!, at);
    at += 4 + array.write(item, at + 4);
  });
  return array;
};

export const byteaArray = (items: readonly Buffer[]): Buffer => {
  const array = Buffer.allocUnsafe(HEADER_BYTES + items.reduce((sum, item) => sum + 4 + item.length, 0));
  writeHeader(array, BYTEA_OID, items.length);
  let at = HEADER_BYTES;
  for (const item of items) {
    array.writeInt32BE(item.length, at);
    at += 4 + item.copy(array, at + 4);
  }
  return array;
};
