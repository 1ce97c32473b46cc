// Results of the mover's verbs: what a decision needs is read, unknown stays unknown, and half an answer is none.
#include <catch2/catch.hpp>

#include "stores/inspection.h"

using namespace rollback::reconcilers;

TEST_CASE("Given an inspection, when decoded, then everything a plan asks for is there") {
  const auto seen = decodeInspection(R"({
    "server": {"version": "15.18", "versionNum": 150018, "systemIdentifier": "7312"},
    "live": {"name": "shop", "oid": 4294967295, "sizeBytes": 1000, "tables": [{"name": "public.orders", "rows": 12}],
             "schema": {"state": "Known", "count": 2, "digest": "sha256:a", "structureDigest": "sha256:b", "names": ["1", "2"]}},
    "space": {"known": true, "required": 10, "available": 20},
    "blockers": [{"code": "ForeignSession", "message": "alice"}],
    "sessions": [{"user": "alice", "application": "psql", "address": "10.0.0.1", "count": 2}],
    "keys": [{"name": "encryption-key", "state": "Differ", "reason": ""}],
    "backup": {"found": true, "complete": true, "digest": "sha256:c", "sizeBytes": 5, "schemaRelation": "Different", "missing": ["drop_note"],
               "manifest": {"framework": "shop", "current_version": "1.0.0", "createdAt": "2026-11-24T02:00:00Z", "unsettled": true,
                            "images": [{"component": "main", "image": "shop:1.0.0", "imageID": "registry/shop@sha256:dd"}],
                            "stores": [{"name": "database", "schema": {"count": 1, "digest": "sha256:e", "structureDigest": "sha256:f"},
                                        "tables": [{"name": "public.orders", "rows": 9}]}]}}})");
  REQUIRE(seen);
  REQUIRE(seen->systemIdentifier == "7312");
  REQUIRE(seen->liveOid == 4294967295u);
  REQUIRE(seen->liveSchema.known());
  REQUIRE(seen->tables.at(0).rows == 12);
  REQUIRE_FALSE(seen->tables.at(0).exact);
  REQUIRE(seen->spaceKnown);
  REQUIRE(seen->blockers.at(0).code == "ForeignSession");
  REQUIRE(seen->sessions.at(0).count == 2);
  REQUIRE(seen->keys.at(0).state == "Differ");
  REQUIRE(seen->backup);
  REQUIRE(seen->backup->version == "1.0.0");
  REQUIRE(seen->backup->unsettled);
  REQUIRE(seen->backup->schema.digest == "sha256:e");
  REQUIRE(seen->backup->missing == std::vector<std::string>{"drop_note"});
  REQUIRE(seen->backup->images.at(0).second == "shop:1.0.0@sha256:dd");
  REQUIRE(seen->backup->tables.at(0).rows == 9);
  REQUIRE(seen->backup->tables.at(0).exact);
}

TEST_CASE("Given a schema that is not known, when decoded, then it is unknown, with a reason, whatever else it says") {
  struct Case {
    const char* schema;
    const char* reason;
  };
  const auto c = GENERATE(Case{R"({"state":"Unknown","reason":"row security","digest":"sha256:a"})", "row security"},
                          Case{R"({"state":"Unknown"})", "not reported"}, Case{"{}", "not reported"},
                          Case{"null", "not reported"});
  INFO(c.schema);
  const auto seen = decodeInspection(std::string(R"({"server":{"systemIdentifier":"7"},"live":{"oid":1,"schema":)") +
                                     c.schema + "}}");
  REQUIRE(seen);
  REQUIRE_FALSE(seen->liveSchema.known());
  REQUIRE(seen->liveSchema.unknownReason == c.reason);
}

TEST_CASE("Given an answer that lacks the identity, when decoded, then it is an error and no default") {
  const auto document = GENERATE("", "[]", "{}", R"({"live":{"oid":1}})", R"({"server":{"systemIdentifier":"7"}})",
                                 R"({"server":{"systemIdentifier":"7"},"live":{"oid":"1"}})");
  INFO(document);
  REQUIRE_FALSE(decodeInspection(document));
  REQUIRE_FALSE(decodeStageResult(document));
  REQUIRE_FALSE(decodeBackupResult(document));
  REQUIRE_FALSE(decodeSwitchBackResult(document));
  REQUIRE_FALSE(decodeVerifyResult(document));
}

TEST_CASE("Given what a staging says of afterStage, when decoded, then it is one line for the journal, or none") {
  const std::string head = R"({"stageOid": 2, "liveOid": 1, "systemIdentifier": "7")";
  const auto some = decodeStageResult(
      head + R"(, "afterStage": [{"name": "mark-crashed", "rows": 3}, {"name": "outbox", "rows": 0}]})");
  REQUIRE(some);
  REQUIRE(some->afterStage == "mark-crashed: 3 rows, outbox: 0 rows");
  REQUIRE(decodeStageResult(head + "}")->afterStage.empty());
}

TEST_CASE("Given an image ID, when decoded from a manifest, then only what a registry can serve is pinned") {
  struct Case {
    const char* image;
    const char* id;
    const char* pinned;
  };
  const auto c =
      GENERATE(Case{"shop:1", "registry/shop@sha256:aa", "shop:1@sha256:aa"}, Case{"shop:1", "sha256:aa", "shop:1"},
               Case{"shop:1", "", "shop:1"}, Case{"shop:1@sha256:bb", "registry/shop@sha256:aa", "shop:1@sha256:bb"});
  INFO(c.image << " " << c.id);
  const auto result =
      decodeVerifyResult(std::string(R"({"digest":"d","manifest":{"images":[{"component":"main","image":")") + c.image +
                         R"(","imageID":")" + c.id + R"("}]}})");
  REQUIRE(result);
  REQUIRE(result->images.at(0).second == c.pinned);
}

TEST_CASE(
    "Given what verify read, when decoded, then the catalogue's fields are there, and an old manifest says it is one") {
  const auto now = decodeVerifyResult(
      R"({"digest":"d","bytes":9,"manifest":{"manifestVersion":2,"framework":"shop","current_version":"1.0.0","createdAt":"x","unsettled":true,"stores":[{"name":"database","schema":{"digest":"s"}}]}})");
  REQUIRE(now);
  REQUIRE(now->manifestVersion == 2);
  REQUIRE(now->version == "1.0.0");
  REQUIRE(now->unsettled);
  REQUIRE(now->schemas.at(0).store == "database");
  const auto old = decodeVerifyResult(R"({"digest":"d","manifest":{"framework":"shop","version":"0.9.0"}})");
  REQUIRE(old);
  REQUIRE(old->manifestVersion == 0);
  REQUIRE(old->version == "0.9.0");
}

TEST_CASE("Given a check's result, when decoded, then health, schema and invariants are there") {
  const auto result = decodeCheckResult(
      R"({"health":[{"name":"ready","ok":false,"message":"503"}],"schema":{"digest":"s"},"databases":[{"name":"shop","oid":7,"allowConnections":true}],"invariants":[{"name":"orders","value":12,"ok":true},{"name":"t","value":"x","ok":false}]})");
  REQUIRE(result);
  REQUIRE_FALSE(result->health.at(0).ok);
  REQUIRE(result->schema.known());
  REQUIRE(result->databases.at(0).oid == 7);
  REQUIRE(result->databases.at(0).open);
  REQUIRE(result->invariants.at(0).value == "12");
  REQUIRE(result->invariants.at(1).value == "x");
  REQUIRE_FALSE(decodeCheckResult("7"));
}
