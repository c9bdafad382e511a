import { openFileStore } from '../support/file-store.ts';
import { describeObjectStore } from './object-store.ts';

describeObjectStore('file object store', openFileStore);
