-- sqlite_work.sql: tables, indexes, joins, windows, JSON, a rollback, vacuum, and a check of the
-- file at the end.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, body BLOB);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO item
SELECT i, i * 7919 % 997, printf('item %d', i * 31 % 10007), zeroblob(i % 300) FROM n;
CREATE INDEX item_owner ON item (owner, name);
CREATE TABLE owner AS SELECT DISTINCT owner AS id, 'owner ' || owner AS name FROM item;
SELECT count(*), sum(length(body)), sum(owner) FROM item;
SELECT o.name, count(*), min(i.name), max(i.name) FROM item i JOIN owner o ON o.id = i.owner
GROUP BY o.id ORDER BY count(*) DESC, o.id LIMIT 5;
SELECT sum(place) FROM (SELECT row_number() OVER (PARTITION BY owner ORDER BY name, id) AS place
FROM item);
BEGIN;
DELETE FROM item WHERE id % 3 = 0;
SELECT count(*) FROM item;
ROLLBACK;
UPDATE item SET name = upper(name) || hex(substr(body, 1, 8)) WHERE owner < 200;
DELETE FROM item WHERE owner > 800;
SELECT count(*), count(DISTINCT name) FROM item;
SELECT length(json_group_array(json_object('id', id, 'name', name))) FROM item WHERE owner < 100;
SELECT length(group_concat(name, ';')) FROM (SELECT name FROM item ORDER BY name DESC);
VACUUM;
SELECT 'integrity ' || integrity_check FROM pragma_integrity_check;
