/** One system call of a trace by `strace -f -yy`. `begin` and `end` are places in the trace. */
export type Syscall = {
  readonly pid: number;
  readonly name: string;
  readonly args: string;
  readonly begin: number;
  readonly end: number;
  readonly succeeded: boolean;
};

const LINE = /^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$/s;
const RESULT = /\) += (-?\d+)[^)]*$/;
const UNFINISHED = ' <unfinished ...>';

/** What `strace -f -yy` wrote, as whole calls in the order in which they began; a call that never returned is left out. */
export const parseTrace = (text: string): readonly Syscall[] => {
  const begun = new Map<string, { begin: number; args: string }>();
  const calls: Syscall[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const [, pid = '', resumed, started, rest = ''] = LINE.exec(line) ?? [];
    const name = resumed ?? started;
    if (name === undefined) continue;
    if (rest.endsWith(UNFINISHED)) {
      begun.set(`${pid} ${name}`, { begin: at, args: rest.slice(0, -UNFINISHED.length) });
      continue;
    }
    const earlier = resumed === undefined ? undefined : begun.get(`${pid} ${name}`);
    const result = Number(RESULT.exec(rest)?.[1] ?? -1);
    const args = (earlier?.args ?? '') + rest;
    calls.push({
      pid: Number(pid),
      name,
      args,
      begin: earlier?.begin ?? at,
      end: at,
      succeeded: result >= 0,
    });
  }
  return calls.sort((a, b) => a.begin - b.begin);
};

/** An upload as the trace of its vault must show it; paths are absolute. */
export type TracedUpload = { readonly recording: string; readonly objectPath: string };

const isWrite = ({ name }: Syscall): boolean => /^p?writev?(64)?$|^send(to|msg)$/.test(name);
const isFlush = ({ name, succeeded }: Syscall): boolean => /^f(data)?sync$/.test(name) && succeeded;
const isOn = ({ args }: Syscall, path: string): boolean =>
  new RegExp(`^\\d+<${RegExp.escape(path)}>`).test(args);

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** Folders on the way to the object that were made and whose own entry was not flushed by then. */
const unflushedFolders = (calls: readonly Syscall[], folder: string, by: number): string[] =>
  calls
    .filter(({ name, args, succeeded }) => /^mkdir/.test(name) && succeeded && args.includes(`"${folder}"`))
    .filter(
      ({ end }) =>
        !calls.some(
          (call) => isFlush(call) && isOn(call, folderOf(folder)) && call.begin > end && call.end < by,
        ),
    )
    .map(() => 'a folder on the way to the object was made, and the folder around it not flushed');

/** The order on disk: bytes flushed, then linked to their name, then that name flushed. Returns where that ended. */
const objectFaults = (
  calls: readonly Syscall[],
  what: 'object' | 'copy of the envelope',
  objectPath: string,
  faults: string[],
): { readonly named: number } | null => {
  const link = calls.find(
    ({ name, args, succeeded }) =>
      /^(link|rename)/.test(name) && succeeded && args.includes(`"${objectPath}"`),
  );
  const draft = /"([^"]+)"/.exec(link?.args ?? '')?.[1];
  if (link === undefined || draft === undefined) {
    faults.push(`the ${what} was not linked to its name`);
    return null;
  }
  const written = calls.filter((call) => isWrite(call) && isOn(call, draft)).at(-1);
  if (written === undefined) faults.push(`nothing was written to the ${what}`);
  if (
    !calls.some(
      (call) =>
        isFlush(call) && isOn(call, draft) && call.begin > (written?.end ?? 0) && call.end < link.begin,
    )
  )
    faults.push(`the ${what} was linked to its name before its bytes were flushed`);
  const named = calls.find(
    (call) => isFlush(call) && isOn(call, folderOf(objectPath)) && call.begin > link.end,
  );
  return { named: named?.end ?? Number.POSITIVE_INFINITY };
};

/**
 * What is wrong with the order of effects of one upload: object and copy of its envelope flushed → linked → folder flushed →
 * entry sent to the database → its commit flushed by the server process that took it → its answer → 201 to the client. Empty
 * when all of it is there in this order. Meant for uploads that come one after another.
 */
export const durabilityFaults = (
  calls: readonly Syscall[],
  { recording, objectPath }: TracedUpload,
): readonly string[] => {
  const faults: string[] = [];
  const object = objectFaults(calls, 'object', objectPath, faults);
  const copy = objectFaults(calls, 'copy of the envelope', `${objectPath}.envelope`, faults);
  const append = calls.find(
    (call) => isWrite(call) && call.args.includes('recording.stored') && call.args.includes(recording),
  );
  const [, ours, theirs] = /<UNIX-STREAM:\[(\d+)->(\d+)/.exec(append?.args ?? '') ?? [];
  if (append === undefined || ours === undefined) return [...faults, 'no entry was sent to the database'];
  if (object !== null && object.named > append.begin)
    faults.push('the entry was sent before the name of the object was flushed');
  if (copy !== null && copy.named > append.begin)
    faults.push('the entry was sent before the name of the copy of the envelope was flushed');
  for (
    let folder = folderOf(objectPath);
    folder !== folderOf(folder) && folder !== '';
    folder = folderOf(folder)
  )
    faults.push(...unflushedFolders(calls, folder, append.begin));
  const answer = calls.find(
    (call) =>
      call.begin > append.begin && isWrite(call) && call.args.includes(`UNIX-STREAM:[${theirs}->${ours}`),
  );
  if (answer === undefined) return [...faults, 'the database never answered'];
  const isCommit = (call: Syscall): boolean =>
    call.pid === answer.pid && isFlush(call) && /^\d+<[^>]*\/pg_wal\//.test(call.args);
  if (!calls.some((call) => isCommit(call) && call.begin > append.begin && call.end < answer.begin))
    faults.push('the database answered before the commit of the entry was flushed');
  const created = calls.find(
    (call) => isWrite(call) && call.args.includes('HTTP/1.1 201') && call.args.includes(recording),
  );
  if (created === undefined) faults.push('the client was never told');
  else if (created.begin < answer.begin) faults.push('the client was told before the entry was committed');
  return faults;
};
