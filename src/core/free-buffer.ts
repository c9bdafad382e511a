/** Node 20, on which the agent runs too, has no such thing: there the collector does it all. */
const canTransfer = typeof ArrayBuffer.prototype.transfer === 'function';

/** Smaller ones are cheaper to collect than to give back. */
const WORTH_BYTES = 16 * 1024;

/**
 * Gives the memory of a large buffer back at once. V8 otherwise waits for a full collection, which sound that flows at
 * hundreds of megabytes a second asks for several times a second: measured, two thirds of the processor went there.
 * The caller must be the last to hold it; afterwards it has no bytes. A view of a part is left to the collector, for others
 * may hold the rest.
 */
export const freeBuffer = (buffer: Buffer): void => {
  const memory = buffer.buffer;
  if (buffer.byteLength < WORTH_BYTES || buffer.byteLength !== memory.byteLength) return;
  if (canTransfer && memory instanceof ArrayBuffer) memory.transfer(0);
};
