/** Undone in reverse order, also when opening fails half-way. */
export const createClosers = () => {
  const closers: (() => Promise<unknown>)[] = [];
  return {
    add: (close: () => Promise<unknown>): void => {
      closers.push(close);
    },
    async closeAll(): Promise<void> {
      for (const close of closers.splice(0).reverse()) await close().catch(() => undefined);
    },
  };
};
export type Closers = ReturnType<typeof createClosers>;
