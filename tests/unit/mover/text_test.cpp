#include <catch2/catch.hpp>

#include "mover/archive.h"
#include "mover/database_settings.h"
#include "mover/digest.h"
#include "mover/files.h"
#include "mover/names.h"
#include "mover/normalise.h"
#include "mover/quoting.h"
#include "mover/server.h"
#include "mover/sums.h"

using namespace rollback;
using namespace rollback::mover;

TEST_CASE("names are cut in their base, never in what makes them ours") {
  const std::string longest(63, 'x');
  REQUIRE(stageName("shop", "ab12cd34", 2) == "shop_stage_ab12cd34_2");
  REQUIRE(prevName(longest, "ab12cd34") ==
          std::string(40, 'x') + "_" + sha256Hex(longest).substr(0, 8) + "_prev_ab12cd34");
  REQUIRE(revertedName(longest, "ab12cd34").size() == 63);
  REQUIRE(prevName(longest, "aaaaaaaa") != prevName(longest, "bbbbbbbb"));
  // Two databases of one server whose names begin alike.
  const std::string other = std::string(62, 'x') + "y";
  REQUIRE(prevName(longest, "ab12cd34") != prevName(other, "ab12cd34"));
  REQUIRE_FALSE(isKeptCopy(prevName(other, "ab12cd34"), longest));
  REQUIRE(isKeptCopy(prevName(other, "ab12cd34"), other));
  REQUIRE(prevName(std::string(49, 'x'), "ab12cd34") == std::string(49, 'x') + "_prev_ab12cd34");
  // 31 characters of two bytes: the cut does not fall into one.
  std::string umlauts;
  for (int i = 0; i < 31; ++i) umlauts += "ü";
  REQUIRE(prevName("x" + umlauts, "ab12cd34") ==
          "x" + umlauts.substr(0, 38) + "_" + sha256Hex("x" + umlauts).substr(0, 8) + "_prev_ab12cd34");
}

TEST_CASE("a shadow is known by base, id and attempt") {
  REQUIRE(stageAttempt("shop_stage_ab12cd34_12", "shop", "ab12cd34") == 12);
  REQUIRE(voidName("shop", "ab12cd34", 12) == "shop_stage_ab12cd34_12_void");
  REQUIRE(stageAttempt("shop_stage_ab12cd34_12_void", "shop", "ab12cd34") == 12);
  REQUIRE(stageAttempt(voidName(std::string(63, 'x'), "ab12cd34", 10), std::string(63, 'x'), "ab12cd34") == 10);
  for (const char* name :
       {"shop", "shop_stage_ab12cd34_", "shop_stage_ab12cd34_x", "shop_stage_ab12cd34__void", "shop_stage_ab12cd34_01",
        "shop_stage_ab12cd35_1", "shopp_stage_ab12cd34_1", "shop_prev_ab12cd34", "shop_stage_ab12cd34_9999999"})
    REQUIRE(stageAttempt(name, "shop", "ab12cd34") == 0);
  REQUIRE(stageAttempt(stageName(std::string(63, 'x'), "ab12cd34", 10), std::string(63, 'x'), "ab12cd34") == 10);
  REQUIRE(stageAttempt("shop_stage__1", "shop", "") == 0);
}

TEST_CASE("kept copies of a database are known, whoever made them") {
  for (const char* name : {"shop_stage_ab12cd34_1", "shop_prev_ffffffff", "shop_reverted_ab12cd34"})
    REQUIRE(isKeptCopy(name, "shop"));
  for (const char* name : {"shop", "other_prev_ab12cd34", "_prev_ab12cd34", "shop_previous"})
    REQUIRE_FALSE(isKeptCopy(name, "shop"));
  REQUIRE(isReserved("postgres", "postgres"));
  REQUIRE(isReserved("admin", "admin"));
  REQUIRE_FALSE(isReserved("shop", "postgres"));
}

TEST_CASE("identifiers and literals cannot be left") {
  REQUIRE(identifier("a\"b") == "\"a\"\"b\"");
  REQUIRE(literal("it's") == "'it''s'");
  REQUIRE(literal("a\\'b") == " E'a\\\\''b'");
  REQUIRE(literal("") == "''");
}

TEST_CASE("paths that leave their folder, or are no text, are refused") {
  for (const char* path : {"a", "a/b", "a/.b", "..a/b", "a b/ü"}) REQUIRE(pathProblem(path).empty());
  for (const char* path : {"", "/a", "..", "a/..", "a/../b", "a//b", "a/", "./a", "a/.", "a\nb", "a\\b", "a\x7f"})
    REQUIRE_FALSE(pathProblem(path).empty());
  REQUIRE_FALSE(pathProblem(std::string(1025, 'x')).empty());
  REQUIRE_FALSE(pathProblem(std::string("a\0b", 3)).empty());
}

TEST_CASE("SHA256SUMS is what sha256sum writes") {
  const std::string hex(64, 'a');
  const Sums sums = {{"b/c", hex}, {"a", std::string(64, '0')}};
  REQUIRE(encodeSums(sums) == std::string(64, '0') + "  a\n" + hex + "  b/c\n");
  REQUIRE(*decodeSums(encodeSums(sums)) == sums);
  REQUIRE(decodeSums(hex + " *./binary\n")->at("binary") == hex);
}

TEST_CASE("SHA256SUMS that is damaged or hostile says which line") {
  const std::string hex(64, 'a');
  const auto reason = [](const std::string& text) { return decodeSums(text).error().reason; };
  for (const std::string& text : {std::string(), hex + "  a", hex.substr(1) + "  a\n", std::string(64, 'A') + "  a\n",
                                  hex + " a\n", hex + "  a\n" + hex + "  a\n", std::string("\n"), "\\" + hex + "  a\n"})
    REQUIRE(reason(text) == "BackupDamaged");
  for (const char* path : {"../a", "/a", "a/../../b", "a\\nb"})
    REQUIRE(reason(hex + "  " + path + "\n") == "HostilePath");
  REQUIRE(decodeSums(hex + "  ok\n" + hex + "  ../a\n").error().message.find("line 2") != std::string::npos);
}

TEST_CASE("expressions read the same before and after a dump and restore") {
  REQUIRE(normalise("CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))") ==
          normalise(
              "CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))"));
  REQUIRE(normalise("('x'::character varying(10))::text") == "'x'");
  REQUIRE(normalise("a::timestamp(3) without time zone AND b") == "aANDb");
  REQUIRE(normalise("a::timestamp with time zone > b") == "a>b");
  REQUIRE(normalise("a::\"Odd \"\"Type\"[] = b") == "a=b");
  REQUIRE(normalise("a::numeric(10,2)[][] + 1") == "a+1");
  REQUIRE(normalise("a::public.citext = b") == "a=b");
}

TEST_CASE("what an expression means is not normalised away") {
  REQUIRE(normalise("x = 'a b'") != normalise("x = 'ab'"));
  REQUIRE(normalise("x = '(1)'") == "x='(1)'");
  REQUIRE(normalise("x = 'it''s :: (this)'") == "x='it''s :: (this)'");
  REQUIRE(normalise("\"a b\" > 1") == "\"a b\">1");
  REQUIRE(normalise("x > 1") != normalise("x > 2"));
  REQUIRE(normalise("x = 'unclosed") == "x='unclosed");
}

TEST_CASE("digests are those of the command line") {
  REQUIRE(sha256Hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  REQUIRE(contentDigest("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  REQUIRE(toBase64("any carnal pleas") == "YW55IGNhcm5hbCBwbGVhcw==");
  REQUIRE(*fromHex("00ff0A") == std::string("\0\xff\n", 3));
  REQUIRE_FALSE(fromHex("0").ok());
  REQUIRE_FALSE(fromHex("zz").ok());
}

TEST_CASE("scrypt is RFC 7914's, and a stranger's parameters are bounded") {
  // RFC 7914, section 12, the first 32 of 64 bytes of N=1024, r=8, p=16.
  REQUIRE(*scryptHex("password", "NaCl", {1024, 8, 16}) ==
          "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
  for (const ScryptCost cost : {ScryptCost{1u << 21, 8, 1}, ScryptCost{1000, 8, 1}, ScryptCost{16384, 0, 1},
                                ScryptCost{16384, 8, 17}, ScryptCost{1, 8, 1}})
    REQUIRE_FALSE(scryptHex("a", "b", cost).ok());
}

TEST_CASE("a table of contents is read line by line") {
  const auto toc = parseToc(
      ";\n; Archive created at 2026-11-24\n;\n"
      "2; 3079 16386 EXTENSION - bloom \n3460; 0 0 COMMENT - EXTENSION bloom \n7; 2615 16400 SCHEMA - app shop\n3461; "
      "0 0 ACL - SCHEMA app shop\n"
      "215; 1259 16402 TABLE app odd; name; with semicolons shop\n3462; 0 0 SEQUENCE SET app counter shop\n4000; 3466 "
      "1 EVENT TRIGGER - watch postgres\n");
  REQUIRE(toc.size() == 7);
  REQUIRE(toc[4].tail == "TABLE app odd; name; with semicolons shop");
  std::vector<bool> leftOut, schema;
  for (const auto& entry : toc) {
    leftOut.push_back(isLeftOut(entry));
    schema.push_back(isSchemaEntry(entry));
  }
  REQUIRE(leftOut == std::vector<bool>{true, true, false, false, false, false, false});
  REQUIRE(schema == std::vector<bool>{false, false, true, true, false, false, false});
  REQUIRE(toc[5].is("SEQUENCE SET"));
  REQUIRE(needsSuperuser(toc[6]));
  REQUIRE_FALSE(needsSuperuser(toc[4]));
}

TEST_CASE("sequences are read from the script pg_restore writes") {
  const auto found = parseSequenceScript(
      "--\nSELECT pg_catalog.setval('app.counter', 107, true);\n-- SELECT pg_catalog.setval('no', 1, true);\n"
      "SELECT pg_catalog.setval('public.\"It''s\"', -5, false);\nSELECT pg_catalog.setval('cut");
  REQUIRE(found.size() == 2);
  REQUIRE(found[0].name == "app.counter");
  REQUIRE(found[0].lastValue == 107);
  REQUIRE(found[0].isCalled);
  REQUIRE(found[1].name == "public.\"It's\"");
  REQUIRE(found[1].lastValue == -5);
  REQUIRE_FALSE(found[1].isCalled);
}

TEST_CASE("of a tool's errors only the line that says what happened is told") {
  REQUIRE(errorLine("pg_restore: warning: w\npg_restore: error: could not execute query: ERROR:  boom\nDETAIL: a row "
                    "of the user's\nCommand was: COPY secrets\n") ==
          "pg_restore: error: could not execute query: ERROR:  boom");
  REQUIRE(errorLine("first\nlast\n\n") == "last");
  REQUIRE(errorLine("").empty());
  REQUIRE(majorOf("15.18") == 15);
  REQUIRE(majorOf("17beta1") == 17);
}

TEST_CASE("privileges of a database are read as the server prints them") {
  const auto plain = parseAclItem("=Tc/shop");
  REQUIRE(plain->grantee.empty());
  REQUIRE(plain->privileges == "Tc");
  const auto odd = parseAclItem("\"Odd \"\"=Role\"=C*c/\"a/b\"");
  REQUIRE(odd->grantee == "Odd \"=Role");
  REQUIRE(odd->privileges == "C*c");
  REQUIRE(odd->grantor == "a/b");
  for (const char* bad : {"", "shop", "=Tc", "\"open=Tc/x"}) REQUIRE_FALSE(parseAclItem(bad).ok());
}

TEST_CASE("a shadow is made with what makes the database") {
  DatabaseRecord record;
  record.owner = "shop";
  record.encoding = "UTF8";
  record.collate = record.ctype = "C.UTF-8";
  record.provider = "i";
  record.icuLocale = "de-DE";
  record.tablespace = "fast";
  REQUIRE(createStatement(record, "s", 150018) ==
          "create database \"s\" with template template0 owner \"shop\" encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype "
          "'C.UTF-8' locale_provider icu icu_locale 'de-DE' tablespace \"fast\"");
  record.tablespace = "pg_default";
  record.provider = "c";
  REQUIRE(createStatement(record, "s", 140000) ==
          "create database \"s\" with template template0 owner \"shop\" encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype "
          "'C.UTF-8'");
}

TEST_CASE("settings and privileges are given anew, lists of names name by name") {
  DatabaseRecord record;
  record.owner = "shop";
  record.settings = {{"", {"search_path=app, \"Odd, Schema\", public", "work_mem=5MB", "app.flavour=sweet, sour"}},
                     {"reader", {"search_path=\"\""}}};
  record.aclIsDefault = false;
  record.acl = {"=T/shop", "shop=CTc/shop", "odd=C*/shop"};
  record.comment = "it's";
  record.connectionLimit = 9;
  REQUIRE(*dressStatements(record, "s") ==
          std::vector<std::string>{
              "alter database \"s\" set \"search_path\" to 'app', 'Odd, Schema', 'public'",
              "alter database \"s\" set \"work_mem\" to '5MB'",
              "alter database \"s\" set \"app\".\"flavour\" to 'sweet, sour'",
              "alter role \"reader\" in database \"s\" set \"search_path\" to ''",
              "revoke all on database \"s\" from public", "revoke all on database \"s\" from \"shop\"",
              "grant temporary on database \"s\" to public", "grant create on database \"s\" to \"shop\"",
              "grant temporary on database \"s\" to \"shop\"", "grant connect on database \"s\" to \"shop\"",
              "grant create on database \"s\" to \"odd\" with grant option", "comment on database \"s\" is 'it''s'"});
  REQUIRE(connectionLimitStatement(record, "s") == "alter database \"s\" connection limit 9");
  record.acl = {"=X/shop"};
  REQUIRE(dressStatements(record, "s").error().reason == "ManifestUnsupported");
  record.acl.clear();
  record.settings = {{"", {"novalue"}}};
  REQUIRE(dressStatements(record, "s").error().reason == "ManifestUnsupported");
}

TEST_CASE("databases are equal if nothing but name, OID and size differs") {
  DatabaseRecord one;
  one.name = "shop";
  one.oid = 1;
  one.owner = "shop";
  DatabaseRecord two = one;
  two.name = "copy";
  two.oid = 2;
  two.sizeBytes = 3;
  two.aclIsDefault = false;
  two.acl = {"shop=CTc/shop", "=Tc/shop"};
  REQUIRE(databaseDifference(one, two).empty());
  two.acl = {"shop=CTc/shop"};
  REQUIRE(databaseDifference(one, two).rfind("privileges", 0) == 0);
  two = one;
  two.icuLocale = "de";
  REQUIRE(databaseDifference(one, two).rfind("ICU locale", 0) == 0);
  two = one;
  two.extensions = {{"bloom", "1.0", "public"}};
  REQUIRE(databaseDifference(one, two).rfind("extensions", 0) == 0);
}

TEST_CASE("clients are matched by application or user, as globs") {
  const ClientSession client{1, "grafana", "exporter 1.2", ""};
  for (const char* pattern : {"*", "grafana", "exporter*", "expo?ter 1.2", "*1.2"})
    REQUIRE(mayBeEnded(client, {"nobody", pattern}));
  for (const char* pattern : {"", "graf", "exporter", "?", "exporter 1.2.3"})
    REQUIRE_FALSE(mayBeEnded(client, {pattern}));
  REQUIRE(mayBeEnded({1, "", "", ""}, {"*"}));
}
