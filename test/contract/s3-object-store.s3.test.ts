import { openS3Store } from '../support/s3-store.ts';
import { describeObjectStore } from './object-store.ts';

describeObjectStore('S3 object store', () => openS3Store({ versions: false }));
describeObjectStore('S3 object store, bucket with versions', () => openS3Store({ versions: true }));
describeObjectStore('S3 object store, in a shared bucket', () =>
  openS3Store({ versions: false, prefix: 'callvault/stockholm-1/' }),
);
