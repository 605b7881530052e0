-- Names that somebody will not have quoted.
CREATE SCHEMA "Schema ""quoted"", with everything";
CREATE SCHEMA "select";
CREATE SCHEMA "sché ma 表";
CREATE TABLE "Schema ""quoted"", with everything"."Table
of two lines; DROP TABLE x;--" ("order" int PRIMARY KEY, "Column A" text DEFAULT 'x', "a""b" int, " " int, "ünïcode 表" int, "forgectl_row" int, "%s %1$s" int, "$1" int, "\" int, "line
two" int CHECK ("line
two" > 0));
INSERT INTO "Schema ""quoted"", with everything"."Table
of two lines; DROP TABLE x;--" VALUES (1, 'y', 2, 3, 4, 5, 6, 7, 8, 9), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE "select"."table" ("from" int REFERENCES "Schema ""quoted"", with everything"."Table
of two lines; DROP TABLE x;--", "user" text); INSERT INTO "select"."table" VALUES (1, current_user);
CREATE TABLE "sché ma 表"."UPPER" (id int); CREATE TABLE "sché ma 表"."upper" (id int); CREATE TABLE "sché ma 表"."Upper " (id int); INSERT INTO "sché ma 表"."UPPER" VALUES (1); INSERT INTO "sché ma 表"."upper" VALUES (2);
CREATE TABLE "--help" ("--version" int); INSERT INTO "--help" VALUES (1);
CREATE TABLE "a=b" (id int); CREATE TABLE "*" (id int); CREATE TABLE "t?[a-z]{1}" (id int); CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."c.d" (id int);
CREATE TABLE "123456789012345678901234567890123456789012345678901234567890abc" (id serial); INSERT INTO "123456789012345678901234567890123456789012345678901234567890abc" DEFAULT VALUES;
CREATE TABLE "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" ("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" int PRIMARY KEY);
CREATE SEQUENCE "select"."Seq ""x""
y"; SELECT nextval('"select"."Seq ""x""
y"');
CREATE VIEW "select"."view
" AS SELECT "from" AS "AS" FROM "select"."table";
CREATE FUNCTION "select"."fn ""x"" (int)"("a b" int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE "select"."Enum, ""x""" AS ENUM ('a"b', 'c,d', '', E'e\nf'); CREATE TABLE "select"."with enum" (e "select"."Enum, ""x""", es "select"."Enum, ""x"""[]); INSERT INTO "select"."with enum" VALUES ('', '{"a\"b","c,d",""}');
CREATE INDEX "index
two; lines" ON "--help" ("--version");
ALTER TABLE "a=b" OWNER TO "Hard o'clock ""TO"" x"; GRANT SELECT ON "*" TO "Hard
two lines";
CREATE TABLE "pg_fake" (id int); CREATE SCHEMA "Pg_x"; CREATE TABLE "Pg_x".t (id int); INSERT INTO "Pg_x".t VALUES (1);
