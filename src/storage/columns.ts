/** Bytes as Prisma takes them: a copy that owns its memory. */
export const bytes = (value: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(value);

/** Disables at that time, unless it was disabled before; null enables. */
export const disabling = (id: string, at: Date | null) => ({
  where: at === null ? { id } : { id, disabledAt: null },
  data: { disabledAt: at },
});
