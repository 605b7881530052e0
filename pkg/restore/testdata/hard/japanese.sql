CREATE TABLE "表" ("列" text, id int PRIMARY KEY); INSERT INTO "表" VALUES ('日本語 テスト', 1), ('ソ能', 2);
COMMENT ON TABLE "表" IS '説明';
