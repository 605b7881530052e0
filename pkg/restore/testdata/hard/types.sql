-- Domains, enums, ranges, composite types, arrays, a base type, collations.
CREATE SCHEMA kinds;
SET search_path = kinds;
CREATE DOMAIN positive AS int DEFAULT 5 CONSTRAINT above CHECK (VALUE > 0);
CREATE DOMAIN even AS positive NOT NULL CHECK (VALUE % 2 = 0);
CREATE DOMAIN word AS text COLLATE "C" CHECK (VALUE !~ '\s');
COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'it is above';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'ha''ppy', 'Ü "quoted", {x}');
ALTER TYPE mood ADD VALUE 'first' BEFORE 'sad';
CREATE TYPE pair AS (x int, y mood[]);
CREATE TYPE nested AS (p pair, w word, "Odd name" positive);
ALTER TYPE pair ADD ATTRIBUTE z text COLLATE "C", DROP ATTRIBUTE x;
CREATE DOMAIN checked_pair AS pair CHECK ((VALUE).z <> 'bad');
CREATE FUNCTION text_diff(a text, b text) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT length(a)::float8 - length(b) $$;
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C", subtype_diff = text_diff, multirange_type_name = many_texts);
CREATE COLLATION phone (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION copied FROM "C";
CREATE TABLE everything (
	e even DEFAULT 2, m mood, ms mood[], p pair, ps pair[], n nested, c checked_pair, r textrange, rs many_texts,
	i int4range, im int4multirange, grid int[][], odd int[], t text COLLATE phone, u text COLLATE ignores_case UNIQUE,
	f4 real, f8 double precision, num numeric, money money, iv interval, ts timestamp, tz timestamptz, d date, tm time, ttz timetz,
	b bytea, bit bit(5), vb bit varying, ch char(4), q "char", js json, jb jsonb, x xml, uu uuid, net inet, ci cidr, mac macaddr, m8 macaddr8,
	pt point, ln line, sg lseg, bx box, pa path, po polygon, ce circle, tv tsvector, tq tsquery, o oid, cl regclass, ty regtype, lsn pg_lsn, sn pg_snapshot, jp jsonpath, nm name);
INSERT INTO everything VALUES (4, 'first', '{sad,NULL,"Ü \"quoted\", {x}"}', ROW('{ok,NULL}', E'a "b"\n\\c,(d)'), ARRAY[ROW('{}', NULL)::pair, NULL], ROW(ROW('{ok}', 'z'), 'word', 3),
	ROW('{sad}', 'good'), '[a,"b ]"]', '{[a,b],(c,)}', '[1,5)', '{[1,2),[4,)}', '{{1,2},{3,NULL}}', '[-2:0]={7,8,9}', 'Ä', 'ß',
	1.0000001, 0.1::float8 + 0.2, 'NaN', '-12345.67', '-1 year 2 mons -3 days 04:05:06.789', '-infinity', '2026-03-29 01:30:00+01', '4713-01-01 BC', '24:00', '23:59:59.999999-15:59',
	'\x00ff5c', B'10101', B'', 'a ', 'x', '{"a" :  1, "a": 2}', '{"b": 1.10, "a": null}', '<a>&amp;<![CDATA[<]]></a>', '00000000-0000-0000-0000-000000000001', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
	'(1e-300,-0)', '{1,-1,0}', '[(0,0),(1,1)]', '((0,0),(1,1))', '[(0,0),(1,0)]', '((0,0),(1,0),(0,1))', '<(0,0),1.5>', to_tsvector('simple', 'it''s a \ test'), 'a & !b <-> c:*A', 4294967295, 'pg_class', 'kinds.mood[]', 'FF/FFFFFFFF', '10:20:10,14', '$.a[*] ? (@ > 1)', 'name');
INSERT INTO everything (e, f4, f8, num, d, ts) VALUES (2, 'NaN', '-Infinity', 'Infinity', 'infinity', '294276-12-31 23:59:59.999999');
INSERT INTO everything (e, f8, f4, u) VALUES (6, 5e-324, 1.17549435e-38, ''), (8, '-0', '-0', NULL);
CREATE TABLE of_type OF pair (PRIMARY KEY (z)); INSERT INTO of_type VALUES ('{ok}', 'k');
-- A base type of the built-in functions of another.
CREATE TYPE kind;
CREATE FUNCTION kind_in(cstring) RETURNS kind LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION kind_out(kind) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE kind (INPUT = kind_in, OUTPUT = kind_out, LIKE = int4, CATEGORY = 'N');
CREATE TABLE shells (s kind, ss kind[]); INSERT INTO shells VALUES ('1', '{2,3}');
CREATE TYPE only_a_shell;
RESET search_path;
