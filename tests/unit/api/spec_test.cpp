// Specs against the definitions: every field a definition has is read, into the member meant for it.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "api/backup.h"
#include "api/definition.h"
#include "api/framework.h"
#include "api/framework_class.h"
#include "api/framework_rollback.h"

namespace rollback::api {
namespace {

using nlohmann::json;
using testing::exampleOf;
using testing::leavesOf;
using testing::schemaOf;

template <typename Object>
using Members = std::map<std::string, std::function<json(const Object&)>>;

json objectOf(const std::string& kind, const json& spec) {
  return {{"kind", kind}, {"metadata", {{"name", "n"}}}, {"spec", spec}};
}

// Every scalar of the definition is in the table, and the member the table names has the example's value.
template <typename Object, typename Decode>
void checkEveryField(const std::string& plural, const std::string& kind, Decode decode,
                     const Members<Object>& members) {
  const json schema = schemaOf(plural, "spec");
  const json spec = exampleOf(schema);
  const Result<Object> object = decode(objectOf(kind, spec).dump());
  REQUIRE(object);
  for (const auto& leaf : leavesOf(schema)) {
    INFO(kind << " spec." << leaf);
    const auto member = members.find(leaf);
    REQUIRE(member != members.end());
    CHECK(member->second(*object) == testing::at(spec, leaf));
  }
  CHECK(members.size() == leavesOf(schema).size());
}

const PostgresStore& postgres(const Framework& f) { return *f.spec.stores.at(0).postgres; }
json jsonOf(const std::string& text) { return json::parse(text); }

TEST_CASE("given a Framework with every field, when it is read, then every field is where it belongs") {
  using F = const Framework&;
  checkEveryField<Framework>(
      "frameworks", "Framework", decodeFramework,
      {{"classRef.name", [](F f) { return f.spec.className; }},
       {"components[].name", [](F f) { return f.spec.components.at(0).name; }},
       {"components[].workloadRef.kind", [](F f) { return f.spec.components.at(0).workloadKind; }},
       {"components[].workloadRef.name", [](F f) { return f.spec.components.at(0).workloadName; }},
       {"components[].container", [](F f) { return f.spec.components.at(0).container; }},
       {"components[].serviceRef.name", [](F f) { return f.spec.components.at(0).serviceName; }},
       {"stores[].name", [](F f) { return f.spec.stores.at(0).name; }},
       {"stores[].postgres.host", [](F f) { return postgres(f).host; }},
       {"stores[].postgres.directHost", [](F f) { return postgres(f).directHost; }},
       {"stores[].postgres.port", [](F f) { return postgres(f).port; }},
       {"stores[].postgres.database", [](F f) { return postgres(f).database; }},
       {"stores[].postgres.maintenanceDatabase", [](F f) { return postgres(f).maintenanceDatabase; }},
       {"stores[].postgres.credentialsSecretRef.name", [](F f) { return postgres(f).credentials.name; }},
       {"stores[].postgres.credentialsSecretRef.usernameKey", [](F f) { return postgres(f).credentials.usernameKey; }},
       {"stores[].postgres.credentialsSecretRef.passwordKey", [](F f) { return postgres(f).credentials.passwordKey; }},
       {"stores[].postgres.adminSecretRef.name", [](F f) { return postgres(f).admin->name; }},
       {"stores[].postgres.adminSecretRef.usernameKey", [](F f) { return postgres(f).admin->usernameKey; }},
       {"stores[].postgres.adminSecretRef.passwordKey", [](F f) { return postgres(f).admin->passwordKey; }},
       {"stores[].postgres.tls.mode", [](F f) { return postgres(f).tlsMode; }},
       {"stores[].postgres.tls.caSecretRef.name", [](F f) { return postgres(f).caSecretName; }},
       {"stores[].postgres.tls.caSecretRef.key", [](F f) { return postgres(f).caSecretKey; }},
       {"stores[].postgres.tools.workloadRef.kind", [](F f) { return postgres(f).tools.workloadKind; }},
       {"stores[].postgres.tools.workloadRef.name", [](F f) { return postgres(f).tools.workloadName; }},
       {"stores[].postgres.tools.container", [](F f) { return postgres(f).tools.container; }},
       {"stores[].postgres.tools.image", [](F f) { return postgres(f).tools.image; }},
       {"stores[].postgres.capacity", [](F f) { return postgres(f).capacityBytes; }},
       {"stores[].postgres.otherClients", [](F f) { return postgres(f).otherClients; }},
       {"repositoryRef.name", [](F f) { return f.spec.repositoryName; }},
       {"policy.maxDataLoss", [](F f) { return f.spec.policy.maxDataLoss; }},
       {"policy.retainHistory", [](F f) { return f.spec.policy.retainHistory; }},
       {"jobTemplate.labels{}", [](F f) { return f.spec.jobTemplate.labels.begin()->second; }},
       {"jobTemplate.annotations{}", [](F f) { return f.spec.jobTemplate.annotations.begin()->second; }},
       {"jobTemplate.nodeSelector{}", [](F f) { return f.spec.jobTemplate.nodeSelector.begin()->second; }},
       {"jobTemplate.imagePullSecrets[].name", [](F f) { return f.spec.jobTemplate.imagePullSecrets.at(0); }},
       {"jobTemplate.tolerations[].key", [](F f) { return jsonOf(f.spec.jobTemplate.tolerations)[0]["key"]; }},
       {"jobTemplate.tolerations[].operator",
        [](F f) { return jsonOf(f.spec.jobTemplate.tolerations)[0]["operator"]; }},
       {"jobTemplate.tolerations[].value", [](F f) { return jsonOf(f.spec.jobTemplate.tolerations)[0]["value"]; }},
       {"jobTemplate.tolerations[].effect", [](F f) { return jsonOf(f.spec.jobTemplate.tolerations)[0]["effect"]; }},
       {"jobTemplate.tolerations[].tolerationSeconds",
        [](F f) { return jsonOf(f.spec.jobTemplate.tolerations)[0]["tolerationSeconds"]; }},
       {"jobTemplate.resources.requests{}",
        [](F f) { return jsonOf(f.spec.jobTemplate.resources)["requests"].begin().value(); }},
       {"jobTemplate.resources.limits{}",
        [](F f) { return jsonOf(f.spec.jobTemplate.resources)["limits"].begin().value(); }}});
}

TEST_CASE("given a FrameworkRollback with every field, when it is read, then every field is where it belongs") {
  using R = const FrameworkRollback&;
  checkEveryField<FrameworkRollback>("frameworkrollbacks", "FrameworkRollback", decodeFrameworkRollback,
                                     {{"frameworkRef.name", [](R r) { return r.spec.frameworkName; }},
                                      {"reason", [](R r) { return r.spec.reason; }},
                                      {"message", [](R r) { return r.spec.message; }},
                                      {"from.version", [](R r) { return r.spec.fromVersion; }},
                                      {"to.version", [](R r) { return r.spec.to.version; }},
                                      {"to.backupRef.name", [](R r) { return r.spec.to.backupName; }},
                                      {"to.backupPath", [](R r) { return r.spec.to.backupPath; }},
                                      {"to.lastKnownGood", [](R r) { return r.spec.to.lastKnownGood; }},
                                      {"to.undo", [](R r) { return r.spec.to.undo; }},
                                      {"scope[]", [](R r) { return r.spec.scope.at(0); }},
                                      {"mode", [](R r) { return r.spec.mode; }},
                                      {"verification.soakSeconds", [](R r) { return r.spec.soakSeconds; }},
                                      {"keepPreviousFor", [](R r) { return r.spec.keepPreviousFor; }},
                                      {"validUntil", [](R r) { return r.spec.validUntil; }},
                                      {"timeoutSeconds", [](R r) { return r.spec.timeoutSeconds; }},
                                      {"accept.unknownSpace", [](R r) { return r.spec.acceptUnknownSpace; }},
                                      {"accept.unknownKeys", [](R r) { return r.spec.acceptUnknownKeys; }},
                                      {"accept.dataLoss", [](R r) { return r.spec.acceptDataLoss; }},
                                      {"onFailure", [](R r) { return r.spec.onFailure; }},
                                      {"accept.otherWriters", [](R r) { return r.spec.acceptOtherWriters; }},
                                      {"accept.unverifiedBackup", [](R r) { return r.spec.acceptUnverifiedBackup; }},
                                      {"suspend", [](R r) { return r.spec.suspend; }},
                                      {"abort", [](R r) { return r.spec.abort; }}});
}

TEST_CASE(
    "given a FrameworkBackup and a BackupRepository with every field, when they are read, then every field is where it "
    "belongs") {
  using B = const FrameworkBackup&;
  checkEveryField<FrameworkBackup>("frameworkbackups", "FrameworkBackup", decodeFrameworkBackup,
                                   {{"frameworkRef.name", [](B b) { return b.spec.frameworkName; }},
                                    {"repositoryRef.name", [](B b) { return b.spec.repositoryName; }},
                                    {"reason", [](B b) { return b.spec.reason; }},
                                    {"path", [](B b) { return b.spec.path; }},
                                    {"deletionPolicy", [](B b) { return b.spec.deletionPolicy; }}});
  using P = const BackupRepository&;
  checkEveryField<BackupRepository>("backuprepositories", "BackupRepository", decodeBackupRepository,
                                    {{"volume.persistentVolumeClaim.claimName", [](P p) { return p.spec.claimName; }},
                                     {"path", [](P p) { return p.spec.path; }},
                                     {"scanInterval", [](P p) { return p.spec.scanInterval; }},
                                     {"podSecurity.runAsUser", [](P p) { return *p.spec.podSecurity.runAsUser; }},
                                     {"podSecurity.runAsGroup", [](P p) { return *p.spec.podSecurity.runAsGroup; }},
                                     {"podSecurity.fsGroup", [](P p) { return *p.spec.podSecurity.fsGroup; }}});
}

TEST_CASE("given a class with every field, when it is read, frozen and thawed, then it is the same") {
  const json spec = exampleOf(schemaOf("frameworkclasses", "spec"));
  const auto read = decodeFrameworkClass(objectOf("FrameworkClass", spec).dump());
  REQUIRE(read);
  const std::string frozen = encodeFrameworkClassSpec(read->spec);
  CHECK(json::diff(spec, json::parse(frozen)) == json::array());
  const auto thawed = decodeFrameworkClassSpec(frozen);
  REQUIRE(thawed);
  CHECK(encodeFrameworkClassSpec(*thawed) == frozen);
  CHECK_FALSE(decodeFrameworkClassSpec("{"));
}

TEST_CASE(
    "given the built-in class n8n, when it is read, then it says what the file says, and the definition has nothing "
    "against it") {
  const json document = testing::loadYaml(FROLLBACK_SOURCE_DIR "/manifests/classes/n8n.yaml");
  CHECK(testing::faultsOf(schemaOf("frameworkclasses", "spec"), document.at("spec")) == std::vector<std::string>{});
  const auto read = decodeFrameworkClass(document.dump());
  REQUIRE(read);
  REQUIRE(read->spec.components.size() == 4);
  CHECK(read->spec.components[1].optional);
  CHECK(read->spec.components[1].dependsOn == std::vector<std::string>{"main"});
  CHECK(read->spec.components[0].health.at(0).http.path == "/healthz/readiness");
  CHECK(read->spec.stores.at(0).checks.at(0).query == "select count(*) from \"user\"");
  CHECK(read->spec.stores.at(0).checks.at(0).min == 1);
  CHECK_FALSE(read->spec.stores.at(0).checks.at(1).min);
  CHECK(read->spec.rules.at(0).crossing == "2.0.0");
  CHECK(read->spec.checks.at(0).http.status == std::vector<int>{200, 401});
}

TEST_CASE("given a Framework that says the least, when it is read, then the defaults are those of the definition") {
  const auto read = decodeFramework(
      R"({"metadata": {"name": "n"}, "spec": {"classRef": {"name": "c"}, "components": [{"name": "m", "workloadRef": {"name": "w"}}],
    "stores": [{"name": "d", "postgres": {"host": "h", "database": "b", "credentialsSecretRef": {"name": "s"}, "adminSecretRef": {"name": "a"}}}]}})");
  REQUIRE(read);
  CHECK(read->spec.components.at(0).workloadKind == "Deployment");
  CHECK(read->spec.components.at(0).container.empty());
  const auto& pg = *read->spec.stores.at(0).postgres;
  CHECK(pg.port == 5432);
  CHECK(pg.maintenanceDatabase == "postgres");
  CHECK(pg.credentials.usernameKey == "username");
  CHECK(pg.admin->passwordKey == "password");
  CHECK(pg.tlsMode == "prefer");
  CHECK(pg.caSecretKey == "ca.crt");
  CHECK(pg.capacityBytes == 0);
  CHECK(read->spec.policy.maxDataLoss == "24h");
  CHECK(read->spec.policy.retainHistory == 20);
  CHECK(read->spec.jobTemplate.tolerations.empty());
  CHECK(read->spec.jobTemplate.resources.empty());
}

TEST_CASE("given a capacity in words or in bytes, when it is read, then it is bytes; one that is none is unknown") {
  const auto capacity = [](const json& value) {
    const auto read = decodeFramework(
        objectOf("Framework", {{"stores", {{{"name", "d"}, {"postgres", {{"capacity", value}}}}}}}).dump());
    REQUIRE(read);
    return read->spec.stores.at(0).postgres->capacityBytes;
  };
  CHECK(capacity("20Gi") == 21474836480);
  CHECK(capacity(1073741824) == 1073741824);
  CHECK(capacity("plenty") == 0);
}

std::string digest(const json& spec) {
  const auto read = decodeFrameworkRollback(objectOf("FrameworkRollback", spec).dump());
  REQUIRE(read);
  return read->specDigest;
}

TEST_CASE("given one wish from Git and from the API server, when its digest is made, then it is one digest") {
  const json written = {
      {"frameworkRef", {{"name", "n8n"}}}, {"to", {{"version", "1.0"}}}, {"scope", {"Version", "Databases"}}};
  json stored = written;
  stored.update(json{{"reason", "Manual"},
                     {"mode", "Execute"},
                     {"keepPreviousFor", "24h"},
                     {"timeoutSeconds", 3600},
                     {"onFailure", "Revert"}});
  CHECK(digest(written).size() == 64);
  CHECK(digest(stored) == digest(written));
  for (const json& same :
       {json{{"suspend", true}}, json{{"abort", true}}, json{{"suspend", false}, {"abort", false}},
        json{{"message", ""}}, json{{"verification", {{"soakSeconds", 0}}}}, json{{"verification", json::object()}},
        json{{"accept", {{"unknownKeys", false}}}}, json{{"scope", {"Databases", "Version"}}}}) {
    INFO(same);
    json changed = written;
    changed.update(same);
    CHECK(digest(changed) == digest(written));
  }
}

TEST_CASE("given another wish, when its digest is made, then it is another") {
  const json written = {{"frameworkRef", {{"name", "n8n"}}}, {"to", {{"version", "1.0"}}}};
  for (const json& other :
       {json{{"frameworkRef", {{"name", "letta"}}}}, json{{"reason", "DataCorruption"}}, json{{"message", "again"}},
        json{{"from", {{"version", "2"}}}}, json{{"to", {{"version", "1.1"}}}}, json{{"to", {{"lastKnownGood", true}}}},
        json{{"scope", {"Version"}}}, json{{"mode", "Plan"}}, json{{"verification", {{"soakSeconds", 1}}}},
        json{{"keepPreviousFor", "48h"}}, json{{"validUntil", "2026-11-24T00:00:00Z"}}, json{{"timeoutSeconds", 60}},
        json{{"accept", {{"unknownSpace", true}}}}, json{{"accept", {{"dataLoss", true}}}}, json{{"onFailure", "Hold"}},
        json{{"to", {{"undo", "1.0"}}}}}) {
    INFO(other);
    json changed = written;
    changed.update(other);
    CHECK(digest(changed) != digest(written));
  }
}

}  // namespace
}  // namespace rollback::api
