-- The catalog: an index over manifests. Authoritative for table and column names; the code creates exactly this.
-- Everything here can be rebuilt from manifests/, and is, whenever it is missing, stale or unreadable.

CREATE TABLE checkpoint (
  name            TEXT    NOT NULL PRIMARY KEY,  -- manifest file name; sorts as the store does
  id              TEXT    NOT NULL,              -- 32 hex digits
  run             TEXT    NOT NULL,
  run_name        TEXT    NOT NULL,
  step            INTEGER NOT NULL CHECK (step >= 0),
  created_ms      INTEGER NOT NULL,
  parent_id       TEXT,
  parent_run      TEXT,                          -- restart id in the parent's name
  parent_step     INTEGER,
  origin_kind     TEXT    NOT NULL,              -- as `origin` in manifest.md, assumed where it is absent
  origin_store    TEXT    NOT NULL,
  origin_run      TEXT    NOT NULL,
  branch          TEXT    NOT NULL,
  restart         INTEGER NOT NULL,
  world_size      INTEGER NOT NULL CHECK (world_size >= 1),
  layout          INTEGER NOT NULL REFERENCES layout(layout),
  tensor_count    INTEGER NOT NULL,
  object_count    INTEGER NOT NULL,
  bytes_logical   INTEGER NOT NULL,              -- sum of shard and object bytes
  bytes_stored    INTEGER NOT NULL,              -- sum of stored bytes of its blocks
  bytes_bases     INTEGER NOT NULL,              -- of these, bytes without content of it: blocks that its deltas need, and the content of others in shared blocks of small tensors
  manifest_bytes  INTEGER NOT NULL,
  manifest_hash   TEXT    NOT NULL               -- the manifest's own last 16 bytes
) STRICT;

CREATE INDEX checkpoint_by_id   ON checkpoint(id);
CREATE INDEX checkpoint_by_step ON checkpoint(step);

CREATE TABLE metric (
  checkpoint TEXT NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
  metric     TEXT NOT NULL,
  value      REAL,                               -- NULL is NaN
  PRIMARY KEY (checkpoint, metric)
) STRICT, WITHOUT ROWID;

CREATE INDEX metric_by_value ON metric(metric, value);

-- A run's checkpoints nearly always have the same tensors: they share one layout.
CREATE TABLE layout (
  layout INTEGER PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE                    -- hash128 of the tensors' names, types, shapes and roles
) STRICT;

CREATE TABLE tensor (
  layout   INTEGER NOT NULL REFERENCES layout(layout) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name     TEXT    NOT NULL,
  type     TEXT    NOT NULL,
  shape    TEXT    NOT NULL,                     -- JSON array
  role     TEXT    NOT NULL,
  bytes    INTEGER NOT NULL,
  PRIMARY KEY (layout, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX tensor_by_name ON tensor(name);

CREATE TABLE segment_use (
  checkpoint TEXT NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
  segment    TEXT NOT NULL,                      -- segment file name
  PRIMARY KEY (checkpoint, segment)
) STRICT, WITHOUT ROWID;

CREATE INDEX segment_use_by_segment ON segment_use(segment);

-- Where content of this hash lies, for deduplication: chunks of at least 64 KiB, the first checkpoint that stored each.
CREATE TABLE chunk (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 16),
  checkpoint TEXT    NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
  row        INTEGER NOT NULL                    -- row in that manifest's chunk table
) STRICT, WITHOUT ROWID;

CREATE INDEX chunk_by_checkpoint ON chunk(checkpoint);
