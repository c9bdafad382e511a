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
      /** True: of the vault or the way to it, not of this file. */
      readonly vault: boolean;
    }
  /** A file that cannot be read or removed, the folder, or the state: the code is the system's. */
  | {
      readonly event: 'trouble';
      readonly what: 'file' | 'removal' | 'folder' | 'state';
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
  readonly waiting: number;
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
  readonly concurrency: number;
  readonly pauses: PauseLimits;
  readonly onEvent: (event: WatchEvent) => void;
};
