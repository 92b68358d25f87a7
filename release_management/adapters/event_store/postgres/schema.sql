-- Layout 1 of an event store on PostgreSQL. Run once, in one transaction.

CREATE SCHEMA IF NOT EXISTS relman_log;

CREATE TABLE relman_log.store (
    one integer PRIMARY KEY CHECK (one = 1),
    id text NOT NULL,
    schema_version integer NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE relman_log.events (
    position bigint PRIMARY KEY,
    stream_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    record bytea NOT NULL,
    UNIQUE (stream_id, version)
);

CREATE TABLE relman_log.commands (
    sender text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    outcome bytea NOT NULL,
    PRIMARY KEY (sender, id)
);
-- The newest position that was ever acknowledged, found even where the newest events were removed.
CREATE INDEX commands_last ON relman_log.commands (last);

CREATE TABLE relman_log.kinds (
    name text COLLATE "C" NOT NULL,
    schemaversion integer NOT NULL,
    PRIMARY KEY (name, schemaversion)
);

CREATE TABLE relman_log.snapshots (
    stream_id text COLLATE "C" PRIMARY KEY,
    shape text NOT NULL,
    version bigint NOT NULL,
    record text NOT NULL,
    state bytea NOT NULL
);

CREATE TABLE relman_log.leases (
    role text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL
);

-- Stores what a decision rests on nothing that has changed. Each statement sees what was committed when it began, so
-- everything is looked up after the lock was taken. The verdict is 'stored', 'moved' (a stream has another version, or
-- a command is there already), 'deposed', or 'removed' (the log ends before the position `seen`). `newest` is the last
-- position before this append; `firsts` and `lasts` were counted from `seen`, which may be older.
CREATE FUNCTION relman_log.append(
    lease_role text, lease_number bigint, seen bigint,
    streams text[], bases bigint[],
    senders text[], ids text[], fingerprints bytea[], firsts bigint[], lasts bigint[], outcomes bytea[],
    subjects text[], versions bigint[], names text[], records bytea[],
    kinds text[], schemaversions bigint[],
    OUT verdict text, OUT newest bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1919249517, 1);
    SELECT coalesce(max(position), 0) INTO newest FROM relman_log.events;
    IF newest < seen THEN
        verdict := 'removed';
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM relman_log.leases WHERE role = lease_role AND number > lease_number) THEN
        verdict := 'deposed';
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM unnest(senders, ids) AS new (sender, id)
        WHERE EXISTS (SELECT FROM relman_log.commands WHERE sender = new.sender AND id = new.id)
    ) OR EXISTS (
        SELECT FROM unnest(streams, bases) AS expected (stream_id, version)
        WHERE version <> (
            SELECT coalesce(max(version), 0) FROM relman_log.events WHERE stream_id = expected.stream_id
        )
    ) THEN
        verdict := 'moved';
        RETURN;
    END IF;
    INSERT INTO relman_log.events
    SELECT newest + number, stream_id, version, name, record
    FROM unnest(subjects, versions, names, records) WITH ORDINALITY AS new (stream_id, version, name, record, number);
    INSERT INTO relman_log.commands
    SELECT sender, id, fingerprint,
        CASE WHEN first > 0 THEN first + newest - seen ELSE 0 END,
        CASE WHEN last > 0 THEN last + newest - seen ELSE 0 END,
        outcome
    FROM unnest(senders, ids, fingerprints, firsts, lasts, outcomes)
        AS new (sender, id, fingerprint, first, last, outcome);
    IF cardinality(kinds) > 0 THEN
        INSERT INTO relman_log.kinds
        SELECT * FROM unnest(kinds, schemaversions::integer[]) ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(subjects) > 0 THEN
        NOTIFY relman_log;
    END IF;
    verdict := 'stored';
END;
$$;

-- Raises the number of a role. No append under the older number is still under way when it returns.
CREATE FUNCTION relman_log.take(taken text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    raised bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1919249517, 1);
    INSERT INTO relman_log.leases VALUES (taken, 1)
    ON CONFLICT (role) DO UPDATE SET number = leases.number + 1
    RETURNING number INTO raised;
    RETURN raised;
END;
$$;
