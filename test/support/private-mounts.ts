/**
 * Runs a shell script in a mount namespace of its own, in which it may mount what it likes: nobody else sees it, and it is
 * gone with the last process inside. What follows are the script's `$1`, `$2` …; it ends in an `exec`, so that the process
 * that was started is the one that runs.
 */
export const withPrivateMounts = (script: string, ...args: readonly string[]): readonly string[] => [
  'unshare',
  '--mount',
  // An ordinary user may mount in a user namespace of his own.
  ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
  'sh',
  '-euc',
  script,
  'sh',
  ...args,
];

/** For `nsenter`: into the namespaces of a process that was started like that. */
export const intoMountsOf = (pid: number): readonly string[] => [
  '--target',
  String(pid),
  '--mount',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials']),
];
