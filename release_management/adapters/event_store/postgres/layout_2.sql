-- Layout 2 of an event store on PostgreSQL: data that stand beside records. Run once, in one transaction, on layout 1.

CREATE TABLE relman_log.contents (
    dataref text COLLATE "C" PRIMARY KEY,
    content bytea NOT NULL
);

-- Stores as `append` does, and in the same transaction what stands beside the records.
CREATE FUNCTION relman_log.append_beside(
    lease_role text, lease_number bigint, seen bigint,
    streams text[], bases bigint[],
    senders text[], ids text[], fingerprints bytea[], firsts bigint[], lasts bigint[], outcomes bytea[],
    subjects text[], versions bigint[], names text[], records bytea[],
    kinds text[], schemaversions bigint[],
    datarefs text[], contents bytea[],
    OUT verdict text, OUT newest bigint
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT stored.verdict, stored.newest INTO verdict, newest
    FROM relman_log.append(
        lease_role, lease_number, seen, streams, bases, senders, ids, fingerprints, firsts, lasts, outcomes,
        subjects, versions, names, records, kinds, schemaversions
    ) AS stored;
    IF verdict = 'stored' THEN
        INSERT INTO relman_log.contents
        SELECT * FROM unnest(datarefs, append_beside.contents) ON CONFLICT DO NOTHING;
    END IF;
END;
$$;

UPDATE relman_log.store SET schema_version = 2;
