-- Large objects: owners, comments, privileges, a hole, an empty one.
SELECT lo_from_bytea(50001, '\x00010203ff'), lo_from_bytea(50002, convert_to(repeat('lorem ipsum ', 1000), 'UTF8')), lo_create(50003);
SELECT lo_put(50003, 100000, '\x41');
SELECT lo_create(50004);
ALTER LARGE OBJECT 50001 OWNER TO hard_owner;
COMMENT ON LARGE OBJECT 50001 IS E'it''s a "large"\nobject \\ ü';
GRANT SELECT, UPDATE ON LARGE OBJECT 50002 TO hard_reader WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 50003 TO PUBLIC;
CREATE EXTENSION lo;
CREATE TABLE picture (id int PRIMARY KEY, raster lo);
INSERT INTO picture VALUES (1, 50001), (2, 50002);
CREATE TRIGGER t_raster BEFORE UPDATE OR DELETE ON picture FOR EACH ROW EXECUTE FUNCTION lo_manage(raster);
