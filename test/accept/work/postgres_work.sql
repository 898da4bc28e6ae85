-- postgres_work.sql: after pgbench: its books must balance; then sorts, hashes, JSON, a procedure
-- and large values, each a different memory context of the server.
SELECT 'balanced', (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta),
       (SELECT sum(bbalance) FROM pgbench_branches) = sum(delta), count(*) FROM pgbench_history;
CREATE TABLE item AS
SELECT i AS id, i * 7919 % 997 AS owner, md5(i::text) AS name,
       repeat(chr(97 + i % 26), i % 500) AS body
FROM generate_series(1, 60000) AS i;
CREATE INDEX ON item (owner, name);
ANALYZE item;
SELECT count(*), sum(length(body)), min(name), max(name) FROM item;
SET work_mem = '32MB';
SELECT md5(string_agg(name, ',' ORDER BY name)) FROM item;
SELECT owner, count(*), max(length(body)) FROM item GROUP BY owner ORDER BY 2 DESC, 1 LIMIT 3;
SELECT count(*) FROM item a JOIN item b ON a.owner = b.id WHERE b.name < '8';
SELECT length(jsonb_agg(jsonb_build_object('id', id, 'name', name) ORDER BY id)::text)
FROM item WHERE id <= 5000;
SELECT sum(place) FROM (SELECT rank() OVER (PARTITION BY owner ORDER BY name) AS place FROM item) x;
CREATE FUNCTION collatz(n bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE steps int := 0;
BEGIN
    WHILE n <> 1 LOOP
        n := CASE WHEN n % 2 = 0 THEN n / 2 ELSE 3 * n + 1 END;
        steps := steps + 1;
    END LOOP;
    RETURN steps;
END $$;
SELECT sum(collatz(i)) FROM generate_series(1, 1000) AS i;
SELECT length(repeat('large value ', 1000000)), md5(repeat('large value ', 1000000));
SELECT count(*) FROM regexp_matches(repeat('alpha-12 beta-7 ', 3000), '([a-z]+)-([0-9]+)', 'g');
DELETE FROM item WHERE owner % 2 = 0;
VACUUM FULL item;
SELECT count(*) FROM item;
