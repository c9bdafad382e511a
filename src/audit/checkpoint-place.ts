/** Where checkpoints are kept beside the database: nothing that is kept there is ever replaced. */
export type CheckpointPlace = {
  /** For a person: a folder, or s3://bucket/checkpoints. */
  readonly where: string;
  /** Keeps `text` under `name`, durably, unless there is something already; resolves to what is kept under that name. */
  readonly keep: (name: string, text: string) => Promise<string>;
  /** Sizes of the checkpoints from this one on, ascending; names that are none are passed over. */
  readonly sizes: (from: number) => AsyncIterable<number>;
  /** What was kept first under a name that is there. */
  readonly read: (name: string) => Promise<string>;
  readonly close: () => Promise<void>;
};
