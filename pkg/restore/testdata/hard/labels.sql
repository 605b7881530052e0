-- Security labels on whatever can have one.
CREATE SCHEMA secret;
CREATE TABLE secret.person (id int PRIMARY KEY, name text, "E Mail" text);
INSERT INTO secret.person SELECT i, 'name ' || i, i || '@example.org' FROM generate_series(1, 100) i;
CREATE VIEW secret.names AS SELECT name FROM secret.person;
CREATE MATERIALIZED VIEW secret.counted AS SELECT count(*) FROM secret.person;
CREATE SEQUENCE secret.next;
CREATE DOMAIN secret.mail AS text;
CREATE TYPE secret.level AS ENUM ('low', 'high');
CREATE FUNCTION secret.twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
CREATE PROCEDURE secret.nothing() LANGUAGE sql AS '';
CREATE AGGREGATE secret.total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE PUBLICATION labelled FOR TABLE secret.person;
SELECT lo_from_bytea(70001, 'labelled');

SECURITY LABEL FOR "forge labels" ON SCHEMA secret IS 'top';
SECURITY LABEL FOR "forge labels" ON TABLE secret.person IS E'it''s "odd"\nand long';
SECURITY LABEL FOR "forge labels" ON COLUMN secret.person.name IS 'MASKED WITH VALUE ''?''';
SECURITY LABEL FOR "forge labels" ON COLUMN secret.person."E Mail" IS 'MASKED WITH FUNCTION secret.twice(1)';
SECURITY LABEL FOR "forge labels" ON VIEW secret.names IS 'view';
SECURITY LABEL FOR "forge labels" ON MATERIALIZED VIEW secret.counted IS 'materialized';
SECURITY LABEL FOR "forge labels" ON SEQUENCE secret.next IS 'sequence';
SECURITY LABEL FOR "forge labels" ON DOMAIN secret.mail IS 'domain';
SECURITY LABEL FOR "forge labels" ON TYPE secret.level IS 'type';
SECURITY LABEL FOR "forge labels" ON FUNCTION secret.twice(int) IS 'function';
SECURITY LABEL FOR "forge labels" ON PROCEDURE secret.nothing() IS 'procedure';
SECURITY LABEL FOR "forge labels" ON AGGREGATE secret.total(int) IS 'aggregate';
SECURITY LABEL FOR "forge labels" ON PUBLICATION labelled IS 'publication';
SECURITY LABEL FOR "forge labels" ON LARGE OBJECT 70001 IS 'large';
