import type { MetadataOf } from './call-metadata.ts';
import type { HandedOver } from './hand-over.ts';
import type { PauseLimits } from './pause.ts';
import type { ScanOptions } from './scan-folder.ts';
import type { SideOptions } from './side-fields.ts';
import type { VaultClient } from './vault-client.ts';
import type { WatchState } from './watch-state.ts';

/** What is worth telling. Nothing in it is a name, for names may hold numbers: files are told by their SHA-256. */
export type WatchEvent =
  | ({ readonly event: 'stored' } & Omit<Extract<HandedOver, { outcome: 'stored' }>, 'outcome'>)
  | { readonly event: 'refused'; readonly sha256: string; readonly code: string; readonly reason: string }
  | {
      readonly event: 'later';
      readonly sha256: string;
      readonly code: string;
      readonly reason: string;
      /** Until the next try, in milliseconds. */
      readonly pauseMs: number;
      /** Of this file, in a row. */
      readonly tries: number;
      /** True: of the vault or the way to it, not of this file. */
      readonly vault: boolean;
    }
  /** Who writes cannot be seen, so that files are finished only after so long a rest, in milliseconds. */
  | { readonly event: 'unseen'; readonly restMs: number; readonly silentRestMs: number }
  /** So many recordings have waited long for a side file, or side files for a recording. */
  | { readonly event: 'missing'; readonly what: 'side_file' | 'recording'; readonly files: number }
  /**
   * A file that cannot be read or removed (`removal_later`: not now, it is tried again), the folder, or the state: the code is
   * the system's. `unlinked`: what was written to a file after its removal, which is delivered, put back as a file, or (`lost`)
   * neither. Of the folder also `unmounted`, and `ETIMEDOUT` while it does not answer.
   */
  | {
      readonly event: 'trouble';
      readonly what: 'file' | 'removal' | 'removal_later' | 'folder' | 'state' | 'unlinked';
      readonly code: string;
    };

export type WatchTotals = {
  /** Deliveries the vault answered for, and their bytes. */
  readonly stored: number;
  readonly bytes: number;
  readonly removed: number;
  /** Of the files in the folder at the last look. */
  readonly found: number;
  readonly refused: number;
  /** Stored, but the system does not let them be removed. */
  readonly unremoved: number;
  readonly waiting: number;
  /** Of those that wait: finished, and without a side file. */
  readonly withoutSide: number;
  /** Files named like side files, with no recording beside them. */
  readonly sidesAlone: number;
  readonly otherKinds: number;
  readonly unreadable: number;
  /** Under way now. */
  readonly active: number;
  /** Whether the vault took what was last tried. */
  readonly vaultAnswers: boolean;
};

export type WatchOptions = ScanOptions & {
  readonly client: Pick<VaultClient, 'upload'>;
  readonly metadataOf: MetadataOf;
  readonly sides: SideOptions;
  readonly state: WatchState;
  /** Files stay, and are remembered. */
  readonly keep: boolean;
  /** A file is not taken before its side file is there. */
  readonly withSide: boolean;
  /** Between two looks at the folder, in milliseconds: a file that is the same in both is finished. */
  readonly intervalMs: number;
  /** How long a file rests where a writer may be unseen, in milliseconds; 0: no longer than elsewhere (watch-rest.ts). */
  readonly unseenRestMs: number;
  /** Where Linux tells of its processes. */
  readonly proc?: string;
  readonly concurrency: number;
  readonly pauses: PauseLimits;
  readonly onEvent: (event: WatchEvent) => void;
};
