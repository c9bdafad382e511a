/** A pause that can be cut short, by anybody and at any time. */
export const createPause = () => {
  let wake: () => void = () => undefined;
  return {
    wake: (): void => wake(),
    take: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
};
