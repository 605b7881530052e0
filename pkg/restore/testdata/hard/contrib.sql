-- Every extension of postgresql-contrib that keeps something, and rows of their types. None of them has a
-- configuration table of its own.
CREATE SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION citext; CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE EXTENSION ltree; CREATE EXTENSION isn;
CREATE EXTENSION seg; CREATE EXTENSION intarray; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist; CREATE EXTENSION btree_gin; CREATE EXTENSION bloom; CREATE EXTENSION unaccent;
CREATE EXTENSION dict_int; CREATE EXTENSION dict_xsyn; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pgcrypto; CREATE EXTENSION tablefunc; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION xml2;
CREATE EXTENSION dblink; CREATE EXTENSION adminpack; CREATE EXTENSION amcheck; CREATE EXTENSION autoinc; CREATE EXTENSION insert_username; CREATE EXTENSION moddatetime; CREATE EXTENSION refint; CREATE EXTENSION tcn;
CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pgstattuple; CREATE EXTENSION pageinspect; CREATE EXTENSION pg_buffercache; CREATE EXTENSION pg_freespacemap; CREATE EXTENSION pg_visibility; CREATE EXTENSION pg_walinspect;
CREATE EXTENSION pg_prewarm; CREATE EXTENSION pg_surgery; CREATE EXTENSION pgrowlocks; CREATE EXTENSION sslinfo; CREATE EXTENSION tsm_system_rows; CREATE EXTENSION tsm_system_time; CREATE EXTENSION old_snapshot; CREATE EXTENSION intagg;
COMMENT ON EXTENSION hstore IS 'ours';
CREATE TABLE held (h ext.hstore, c citext UNIQUE, cu cube, lt ltree, i isbn, s seg, a int[], id uuid DEFAULT uuid_generate_v4(), room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO held VALUES ('a=>1, "b \"x\""=>NULL', 'Straße', '(1,2),(3,4)', 'a.b.c', '978-0-393-04002-9', '1.50(+-)0.2', '{3,1}', '00000000-0000-0000-0000-000000000001', 1, '[2026-01-01,2026-02-01)');
CREATE INDEX ON held USING gin (h); CREATE INDEX ON held USING gin (a gin__int_ops); CREATE INDEX ON held USING gist (lt); CREATE INDEX ON held USING gin ((c::text) gin_trgm_ops); CREATE INDEX ON held USING bloom (room) WITH (length = 80);
CREATE TRIGGER touched BEFORE UPDATE ON held FOR EACH ROW EXECUTE FUNCTION triggered_change_notification();
CREATE FUNCTION member() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION hstore ADD FUNCTION member();
ALTER EXTENSION hstore DROP FUNCTION member();
REVOKE EXECUTE ON FUNCTION digest(text, text) FROM PUBLIC; GRANT SELECT ON pg_buffercache TO hard_reader; REVOKE ALL ON pg_stat_statements FROM PUBLIC;
CREATE TEXT SEARCH CONFIGURATION plain_french (COPY = french); ALTER TEXT SEARCH CONFIGURATION plain_french ALTER MAPPING FOR hword, word WITH unaccent, french_stem;
