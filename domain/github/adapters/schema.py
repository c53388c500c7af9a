"""Tables of the reference application, as numbered migrations. A step that was released is never edited."""

#: The name under which the database remembers how far it was migrated.
BATTERY = "github"

MIGRATIONS = (
    """
    CREATE TABLE github_repository (
        id        INTEGER PRIMARY KEY,
        slug      TEXT    NOT NULL UNIQUE,
        full_name TEXT    NOT NULL,
        github_id INTEGER NOT NULL
    );

    CREATE TABLE github_issue (
        repository_id INTEGER NOT NULL REFERENCES github_repository (id),
        number        INTEGER NOT NULL,
        github_id     INTEGER NOT NULL,
        title         TEXT    NOT NULL,
        body          TEXT    NOT NULL,
        state         TEXT    NOT NULL,
        author        TEXT    NOT NULL,
        labels        TEXT    NOT NULL,
        updated_at    TEXT    NOT NULL,
        pull_request  INTEGER NOT NULL,
        version       TEXT    NOT NULL,
        PRIMARY KEY (repository_id, number)
    ) WITHOUT ROWID;

    CREATE INDEX github_issue_open ON github_issue (repository_id, updated_at DESC)
        WHERE state = 'open' AND pull_request = 0;

    CREATE TABLE github_cursor (
        repository_id INTEGER PRIMARY KEY REFERENCES github_repository (id),
        since         TEXT,
        page          INTEGER NOT NULL,
        etag          TEXT,
        etag_url      TEXT,
        reading       INTEGER NOT NULL,
        before        INTEGER NOT NULL
    );

    CREATE TABLE github_outbox (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        repository_id INTEGER NOT NULL REFERENCES github_repository (id),
        topic         TEXT    NOT NULL,
        number        INTEGER NOT NULL,
        version       TEXT    NOT NULL,
        created_at    REAL    NOT NULL,
        attempts      INTEGER NOT NULL DEFAULT 0,
        last_error    TEXT,
        processed_at  REAL,
        dead_at       REAL
    );

    CREATE INDEX github_outbox_pending ON github_outbox (repository_id, attempts, id)
        WHERE processed_at IS NULL AND dead_at IS NULL;

    CREATE INDEX github_outbox_processed ON github_outbox (repository_id, processed_at)
        WHERE processed_at IS NOT NULL;

    CREATE TABLE github_explanation (
        repository_id INTEGER NOT NULL REFERENCES github_repository (id),
        number        INTEGER NOT NULL,
        run_id        TEXT    NOT NULL,
        claimed_at    REAL    NOT NULL,
        PRIMARY KEY (repository_id, number)
    ) WITHOUT ROWID;
    """,
)
