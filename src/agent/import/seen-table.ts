/**
 * A table of 64-bit keys in 17 bytes each: what a journal of millions of files is found by. Keys are the first eight bytes of
 * an HMAC, so no order and no clusters need be feared.
 */
export const createSeenTable = (capacity = 1024) => {
  let size = 0;
  let slots = capacity;
  let high = new Uint32Array(slots);
  let low = new Uint32Array(slots);
  /** Offset + 1; 0: free. */
  let values = new Float64Array(slots);
  let marks = new Uint8Array(slots);

  const slotOf = (h: number, l: number): number => {
    let at = l & (slots - 1);
    while (values[at] !== 0 && (high[at] !== h || low[at] !== l)) at = (at + 1) & (slots - 1);
    return at;
  };
  const grow = (): void => {
    const [oldHigh, oldLow, oldValues, oldMarks] = [high, low, values, marks];
    slots *= 2;
    high = new Uint32Array(slots);
    low = new Uint32Array(slots);
    values = new Float64Array(slots);
    marks = new Uint8Array(slots);
    oldValues.forEach((value, i) => {
      if (value === 0) return;
      const at = slotOf(oldHigh[i]!, oldLow[i]!);
      high[at] = oldHigh[i]!;
      low[at] = oldLow[i]!;
      values[at] = value;
      marks[at] = oldMarks[i]!;
    });
  };
  const read = (key: string): [number, number] => [
    Number.parseInt(key.slice(0, 8), 16),
    Number.parseInt(key.slice(8, 16), 16),
  ];

  return {
    /** `key` in hex, 16 characters or more; the first 16 count. */
    get(key: string): number | null {
      const value = values[slotOf(...read(key))]!;
      return value === 0 ? null : value - 1;
    },
    set(key: string, value: number): void {
      if (size * 2 >= slots) grow();
      const [h, l] = read(key);
      const at = slotOf(h, l);
      if (values[at] === 0) size += 1;
      high[at] = h;
      low[at] = l;
      values[at] = value + 1;
    },
    /** For a key that is set; `mark` is 1 or 2. Answers whether it was marked so before. */
    mark(key: string, mark: 1 | 2 = 1): boolean {
      const at = slotOf(...read(key));
      const before = (marks[at]! & mark) !== 0;
      if (values[at] !== 0) marks[at]! |= mark;
      return before;
    },
    isMarked(key: string, mark: 1 | 2 = 1): boolean {
      const at = slotOf(...read(key));
      return values[at] !== 0 && (marks[at]! & mark) !== 0;
    },
    size: (): number => size,
  };
};

export type SeenTable = ReturnType<typeof createSeenTable>;
