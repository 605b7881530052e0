-- Tablespaces: the database's own, another one, and the server's in a database that has its own.
CREATE TABLE at_home (id int PRIMARY KEY); INSERT INTO at_home VALUES (1);
CREATE TABLE moved (id int PRIMARY KEY USING INDEX TABLESPACE "Hard ""odd"" space", t text) TABLESPACE pg_default; INSERT INTO moved VALUES (1, 'x');
CREATE INDEX moved_t ON moved (t) TABLESPACE "Hard ""odd"" space";
CREATE TABLE parted (id int) PARTITION BY LIST (id) TABLESPACE "Hard ""odd"" space";
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); INSERT INTO parted VALUES (1);
CREATE MATERIALIZED VIEW seen TABLESPACE "Hard ""odd"" space" AS SELECT * FROM moved;
