-- For databases of other encodings: names and rows that UTF-8 writes otherwise.
CREATE SCHEMA "Größe";
CREATE TABLE "Größe"."Maße" (id int PRIMARY KEY, "Länge" text, CHECK ("Länge" <> 'unmöglich'));
INSERT INTO "Größe"."Maße" VALUES (1, 'fünf Ä'), (2, 'ÿ'), (3, NULL);
CREATE SEQUENCE "Größe"."zähler"; SELECT nextval('"Größe"."zähler"');
CREATE TYPE "Größe"."Art" AS ENUM ('groß', 'kleín');
COMMENT ON TABLE "Größe"."Maße" IS 'die Maße';
CREATE MATERIALIZED VIEW "Größe"."größte" AS SELECT max("Länge") AS "Länge" FROM "Größe"."Maße";
GRANT SELECT ON "Größe"."Maße" TO hard_reader;
