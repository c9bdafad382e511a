/**
 * What the tables of the access log are, as the migrations make them, and how what a catalogue says differs from it. Pure.
 * Columns, constraints, indexes and functions are compared as PostgreSQL spells them; a test holds this list against a migrated database.
 */
export type CatalogueRow = {
  /** The table, or partition, that it belongs to; null for what belongs to none. */
  readonly relation: string | null;
  /** What it is, and its name: `trigger refuse_change`. */
  readonly what: string;
  readonly is: string;
};

type Definitions = Readonly<Record<string, string>>;

const triggers: Definitions = {
  'trigger refuse_change': 'A BEFORE DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION audit.refuse()',
  'trigger refuse_truncate': 'A BEFORE TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()',
};

const textArray = (...words: readonly string[]): string =>
  `ARRAY[${words.map((word) => `'${word}'::text`).join(', ')}]`;

const daily = textArray(
  'recording.stored',
  'recording.viewed',
  'recordings.searched',
  'playback.opened',
  'playback.heard',
);
const ofInstallation = textArray(
  'installation.created',
  'session.refused',
  'organisation.changed',
  'key.rotated',
  'log.verified',
  'keys.exported',
  'log.pruned',
  'log.epoch_opened',
);

/** Each table, and each of its partitions. */
const tables: Readonly<Record<string, Definitions>> = {
  leaf: {
    columns: 'seq bigint NOT NULL, commitment bytea NOT NULL, event_id uuid NOT NULL',
    'index leaf_event_id_key': 'UNIQUE btree (event_id)',
    'index leaf_pkey': 'UNIQUE btree (seq)',
    'constraint leaf_commitment_check': 'CHECK ((octet_length(commitment) = 32))',
    'constraint leaf_event_id_key': 'UNIQUE (event_id)',
    'constraint leaf_pkey': 'PRIMARY KEY (seq)',
    'constraint leaf_seq_check': 'CHECK ((seq >= 0))',
    ...triggers,
  },
  entry: {
    columns:
      'seq bigint NOT NULL, salt bytea NOT NULL, body text NOT NULL, facts audit.facts NOT NULL s audit.facts_of(body)',
    'index entry_pkey': 'UNIQUE btree (seq)',
    'index entry_organisation':
      'btree (((facts).organisation), ((facts).at), seq, ((facts).action), ((facts).purpose))',
    'index entry_actor': 'btree (((facts).actor), ((facts).at), seq)',
    'index entry_recording': 'btree (((facts).recording), ((facts).at), seq)',
    'index entry_subject': 'btree (((facts).subject), ((facts).at), seq)',
    'index entry_unit': 'btree (((facts).unit), ((facts).at), seq) WHERE ((facts).unit IS NOT NULL)',
    'index entry_action': `btree (((facts).action), ((facts).organisation), ((facts).at), seq) WHERE ((facts).action <> ALL (${daily}))`,
    'index entry_outcome': `btree (((facts).outcome), ((facts).organisation), ((facts).at), seq, ((facts).unit), ((facts).actor)) WHERE ((facts).outcome <> 'success'::text)`,
    'index entry_purpose': `btree (((facts).purpose), ((facts).organisation), ((facts).at), seq) WHERE ((facts).purpose <> 'care'::text)`,
    'index entry_installation': `btree (((facts).at), seq) WHERE (((facts).organisation IS NULL) OR ((facts).action = ANY (${ofInstallation})))`,
    'constraint entry_is_whole':
      'CHECK (((octet_length(salt) = 32) AND (octet_length(body) <= 65536) AND (num_nulls((facts).event_id, (facts).at, (facts).action, (facts).outcome) = 0)))',
    'constraint entry_pkey': 'PRIMARY KEY (seq)',
    'constraint entry_seq_check': 'CHECK ((seq >= 0))',
    ...triggers,
  },
  batch: {
    columns:
      'first_seq bigint NOT NULL, size bigint NOT NULL, root bytea NOT NULL, range bytea NOT NULL, writer text NOT NULL, at timestamp with time zone NOT NULL clock_timestamp()',
    'index batch_pkey': 'UNIQUE btree (first_seq)',
    'constraint batch_check': 'CHECK ((size > first_seq))',
    'constraint batch_check1': 'CHECK ((octet_length(range) = (32 * bit_count((size)::bit(64)))))',
    'constraint batch_first_seq_check': 'CHECK ((first_seq >= 0))',
    'constraint batch_pkey': 'PRIMARY KEY (first_seq)',
    'constraint batch_root_check': 'CHECK ((octet_length(root) = 32))',
    'constraint batch_writer_check': `CHECK ((writer ~ '^[a-z0-9._-]{1,64}$'::text))`,
    ...triggers,
  },
  node: {
    columns: 'level smallint NOT NULL, index bigint NOT NULL, hash bytea NOT NULL',
    'index node_pkey': 'UNIQUE btree (level, index)',
    'constraint node_hash_check': 'CHECK ((octet_length(hash) = 32))',
    'constraint node_index_check': 'CHECK ((index >= 0))',
    'constraint node_level_check': 'CHECK ((level = ANY (ARRAY[8, 16, 24])))',
    'constraint node_pkey': 'PRIMARY KEY (level, index)',
    ...triggers,
  },
  checkpoint: {
    columns:
      'size bigint NOT NULL, note text NOT NULL, at timestamp with time zone NOT NULL clock_timestamp()',
    'index checkpoint_pkey': 'UNIQUE btree (size)',
    'constraint checkpoint_check': `CHECK (((octet_length(note) <= 65536) AND (split_part(note, '\n'::text, 2) = (size)::text)))`,
    'constraint checkpoint_pkey': 'PRIMARY KEY (size)',
    'constraint checkpoint_size_check': 'CHECK ((size > 0))',
    ...triggers,
  },
  cosignature: {
    columns:
      'size bigint NOT NULL, witness text NOT NULL, line text NOT NULL, at timestamp with time zone NOT NULL clock_timestamp()',
    'index cosignature_pkey': 'UNIQUE btree (size, witness)',
    'index cosignature_witness': 'btree (witness, size)',
    'constraint cosignature_line_check': String.raw`CHECK (((octet_length(line) <= 4096) AND (line ~ '^— [^\n]*\n$'::text)))`,
    'constraint cosignature_pkey': 'PRIMARY KEY (size, witness)',
    'constraint cosignature_size_check': 'CHECK ((size > 0))',
    'constraint cosignature_witness_check': String.raw`CHECK ((witness ~ '^[^[:space:]+]{1,255}\+[0-9a-f]{8}$'::text))`,
    ...triggers,
  },
};

const partitioned: readonly string[] = ['entry', 'batch'];

/** What belongs to no table; functions as the MD5 of their definition. Where partitions begin is seen in what they hold. */
const others: Definitions = {
  'type facts':
    'event_id uuid, at bigint, action text, outcome text, actor text, organisation uuid, unit uuid, recording uuid, subject text, purpose text, session uuid',
  'function add_partitions(bigint)': '65264ab960f101fb9ba6d6d3fb0b5f33',
  'function append(text,bigint,bytea[],text[])': '9350e63d2ace70dd2c84f448edbe1353',
  'function facts_of(text)': 'd98042c26ee136901dfe1d3295f2cf26',
  'function guard_truncate(text)': '64fba9979bb19680501ef0e49d1fa47c',
  'function has_partitions(bigint)': '96e4dab2cafdf245923fbafcee78720d',
  'function keep_checkpoint(bigint,text)': '0890be7d9ce1a558f081ae980d815b6a',
  'function keep_cosignature(bigint,text,text)': '865462e73d59dec4a6056deca20c8ed6',
  'function make_room(bigint,bigint)': '45ec96f5a5a31315dfb734fcae053ae8',
  'function oldest_bodies()': '332b6a9ebb6c1ac0b16fbfe7b7a2f735',
  'function partition_name(text,bigint)': '0317a2396e4282d50aabc564bc07e351',
  'function prune(bigint,integer)': '9499a8deaa306c34b3b7d877b15d8165',
  'function refuse()': '2b5f65cf67869c8f167b3942bd030e13',
};

const PARTITION = /^(entry|batch)_\d{6}$/;
const templateOf = (relation: string): string => PARTITION.exec(relation)?.[1] ?? relation;

const kindOf = (relation: string): string => (partitioned.includes(relation) ? 'p p' : 'r p');

const definitionsOf = (relation: string): Definitions | undefined => {
  const columns = tables[templateOf(relation)];
  return columns && { table: kindOf(relation), ...columns };
};

const sentence = (what: string, where: string, how: string): string =>
  `${what[0]?.toUpperCase() ?? ''}${what.slice(1)}${where} ${how}.`;

const differences = (where: string, found: ReadonlyMap<string, string>, wanted: Definitions): string[] => {
  const faults: string[] = [];
  for (const [what, is] of Object.entries(wanted)) {
    const seen = found.get(what);
    if (seen === undefined) faults.push(sentence(what, where, 'is missing'));
    else if (seen !== is)
      faults.push(
        what.startsWith('trigger') && seen.slice(1) === is.slice(1)
          ? sentence(what, where, 'does not always fire')
          : sentence(what, where, 'is another'),
      );
  }
  // An index that PostgreSQL does not use hides nothing: somebody builds one anew just now.
  for (const [what, is] of found)
    if (wanted[what] === undefined && !(what.startsWith('index ') && is.endsWith('INVALID')))
      faults.push(sentence(what, where, 'does not belong there'));
  return faults;
};

/**
 * In sentences, what is missing, another, or does not belong there. `rows`: everything that a catalogue says of the log's
 * schema. Attacker-controlled: a superuser names things as she likes.
 */
export const guardFaults = (rows: readonly CatalogueRow[]): readonly string[] => {
  const found = new Map<string | null, Map<string, string>>();
  for (const { relation, what, is } of rows) {
    const own = found.get(relation) ?? new Map<string, string>();
    found.set(relation, own.set(what, is));
  }
  const faults = differences('', found.get(null) ?? new Map(), others);
  for (const relation of Object.keys(tables))
    if (!found.has(relation)) faults.push(sentence('table', ` audit.${relation}`, 'is missing'));
  for (const [relation, own] of found) {
    if (relation === null) continue;
    const wanted = definitionsOf(relation);
    faults.push(
      ...(wanted === undefined
        ? [sentence('relation', ` audit.${relation}`, 'does not belong there')]
        : differences(` of audit.${relation}`, own, wanted)),
    );
  }
  return faults.map((fault) => fault.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd'));
};
