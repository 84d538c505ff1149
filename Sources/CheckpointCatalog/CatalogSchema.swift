/// The tables of the catalog, as in Formats/catalog/schema.sql. A test compares the two.
enum CatalogSchema {
    static let version = 3
    /// "ckpt" in ASCII.
    static let applicationID = 0x636B_7074

    static let statements = [
        """
        CREATE TABLE checkpoint (
          name            TEXT    NOT NULL PRIMARY KEY,
          id              TEXT    NOT NULL,
          run             TEXT    NOT NULL,
          run_name        TEXT    NOT NULL,
          step            INTEGER NOT NULL CHECK (step >= 0),
          created_ms      INTEGER NOT NULL,
          parent_id       TEXT,
          parent_run      TEXT,
          parent_step     INTEGER,
          origin_kind     TEXT    NOT NULL,
          origin_store    TEXT    NOT NULL,
          origin_run      TEXT    NOT NULL,
          branch          TEXT    NOT NULL,
          restart         INTEGER NOT NULL,
          world_size      INTEGER NOT NULL CHECK (world_size >= 1),
          layout          INTEGER NOT NULL REFERENCES layout(layout),
          tensor_count    INTEGER NOT NULL,
          object_count    INTEGER NOT NULL,
          bytes_logical   INTEGER NOT NULL,
          bytes_stored    INTEGER NOT NULL,
          bytes_bases     INTEGER NOT NULL,
          manifest_bytes  INTEGER NOT NULL,
          manifest_hash   TEXT    NOT NULL
        ) STRICT
        """,
        "CREATE INDEX checkpoint_by_id ON checkpoint(id)",
        "CREATE INDEX checkpoint_by_step ON checkpoint(step)",
        """
        CREATE TABLE metric (
          checkpoint TEXT NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
          metric     TEXT NOT NULL,
          value      REAL,
          PRIMARY KEY (checkpoint, metric)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX metric_by_value ON metric(metric, value)",
        """
        CREATE TABLE layout (
          layout INTEGER PRIMARY KEY,
          digest TEXT NOT NULL UNIQUE
        ) STRICT
        """,
        """
        CREATE TABLE tensor (
          layout   INTEGER NOT NULL REFERENCES layout(layout) ON DELETE CASCADE,
          position INTEGER NOT NULL,
          name     TEXT    NOT NULL,
          type     TEXT    NOT NULL,
          shape    TEXT    NOT NULL,
          role     TEXT    NOT NULL,
          bytes    INTEGER NOT NULL,
          PRIMARY KEY (layout, position)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX tensor_by_name ON tensor(name)",
        """
        CREATE TABLE segment_use (
          checkpoint TEXT NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
          segment    TEXT NOT NULL,
          PRIMARY KEY (checkpoint, segment)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX segment_use_by_segment ON segment_use(segment)",
        """
        CREATE TABLE chunk (
          hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 16),
          checkpoint TEXT    NOT NULL REFERENCES checkpoint(name) ON DELETE CASCADE,
          row        INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX chunk_by_checkpoint ON chunk(checkpoint)",
    ]
}
