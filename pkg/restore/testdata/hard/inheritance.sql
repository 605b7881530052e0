-- Inheritance: two parents, a merged column, an added and a dropped one, a constraint that is not inherited.
CREATE SCHEMA heirs;
SET search_path = heirs;
CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL, CONSTRAINT here CHECK (id > 0) NO INHERIT, CONSTRAINT everywhere CHECK (name <> ''));
CREATE TABLE other (name text, weight int DEFAULT 3);
CREATE TABLE child (extra int) INHERITS (parent, other);
CREATE TABLE grandchild (CHECK (extra > 0)) INHERITS (child);
CREATE TABLE stranger (id int NOT NULL, name text NOT NULL, CONSTRAINT everywhere CHECK (name <> ''));
ALTER TABLE stranger INHERIT parent;
INSERT INTO parent VALUES (1, 'p');
INSERT INTO other VALUES ('o', 2);
INSERT INTO child VALUES (2, 'c', 4, 5), (1, 'twice', 1, 1);
INSERT INTO grandchild VALUES (-3, 'g', 5, 6);
INSERT INTO stranger VALUES (7, 's');
ALTER TABLE parent ADD added timestamptz DEFAULT '2026-01-01';
ALTER TABLE parent ADD dropped int;
ALTER TABLE parent DROP dropped;
ALTER TABLE child ALTER weight SET DEFAULT 8;
RESET search_path;
