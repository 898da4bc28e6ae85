-- mariadb_work.sql: tables in two engines, joins, groups, windows, JSON, a procedure, a rollback.
CREATE DATABASE accept;
USE accept;
CREATE TABLE load_test (id INT AUTO_INCREMENT PRIMARY KEY, owner INT, text TEXT, KEY (owner));
CREATE TABLE item (id INT PRIMARY KEY, owner INT, name VARCHAR(64), body TEXT, KEY (owner, name));
SET SESSION max_recursive_iterations = 100000;
INSERT INTO item
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
SELECT i, i * 7919 % 997, MD5(i), REPEAT(CHAR(97 + i % 26), i % 400) FROM n;
SELECT COUNT(*), SUM(LENGTH(body)), MIN(name), MAX(name) FROM item;
SELECT owner, COUNT(*) FROM item GROUP BY owner ORDER BY 2 DESC, 1 LIMIT 3;
SELECT COUNT(*) FROM item a JOIN item b ON a.owner = b.id WHERE b.name < '8';
SET SESSION group_concat_max_len = 10000000;
SELECT MD5(GROUP_CONCAT(name ORDER BY name SEPARATOR ',')) FROM item;
SELECT SUM(place) FROM (SELECT RANK() OVER (PARTITION BY owner ORDER BY name) AS place FROM item) x;
SELECT LENGTH(JSON_ARRAYAGG(JSON_OBJECT('id', id, 'name', name))) FROM item WHERE id <= 3000;
CREATE TABLE copy_of_item ENGINE = MyISAM AS SELECT * FROM item ORDER BY name;
SELECT COUNT(*) FROM copy_of_item NATURAL JOIN item;
START TRANSACTION;
DELETE FROM item WHERE owner < 500;
SELECT COUNT(*) FROM item;
ROLLBACK;
SELECT COUNT(*) FROM item;
ALTER TABLE item ADD COLUMN extra CHAR(20) DEFAULT 'x', ADD FULLTEXT KEY (body);
DELIMITER //
CREATE PROCEDURE fill_loads(n INT)
BEGIN
    DECLARE i INT DEFAULT 0;
    WHILE i < n DO
        INSERT INTO load_test (owner, text) VALUES (100 + i % 7, REPEAT('p', i % 300));
        SET i = i + 1;
    END WHILE;
END //
DELIMITER ;
CALL fill_loads(2000);
SELECT owner, COUNT(*), SUM(LENGTH(text)) FROM load_test GROUP BY owner ORDER BY owner;
SELECT LENGTH(REPEAT('large value ', 500000)), MD5(REPEAT('large value ', 500000));
