// A backup as a folder, judged without a server: what is accepted, what is refused and by which code; a scan over many.
#include "mover/backup_folder.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "model.h"
#include "mover/archive.h"
#include "mover/digest.h"
#include "mover/outcome.h"
#include "mover/verbs.h"

using namespace rollback;
using namespace rollback::mover;
using nlohmann::json;

namespace {

const std::string kPath = "shop/shop-backup-20261124-030000";

// A folder as `backup` writes one, small; `change` sees the manifest before the sums are made.
void put(
    model::World& world, const std::string& path, const std::function<void(json&)>& change = [](json&) {}) {
  auto& files = world.repository.content;
  files[path + "/postgres/database/toc.dat"] = "toc";
  files[path + "/postgres/database/1.dat.gz"] = "rows";
  json manifest = {
      {"manifestVersion", 2},
      {"framework", "shop"},
      {"current_version", "1.0.0"},
      {"createdAt", "2026-11-24T03:00:00Z"},
      {"files", {"postgres/database/toc.dat", "postgres/database/1.dat.gz"}},
      {"sizes", {{"postgres/database/toc.dat", 3}, {"postgres/database/1.dat.gz", 4}}},
      {"images", json::array({{{"component", "main"}, {"image", "shop:1.0.0"}}})},
      {"stores",
       json::array({{{"name", "database"},
                     {"driver", "postgres"},
                     {"path", "postgres/database"},
                     {"format", "pg_directory"},
                     {"schema", {{"digest", "sha256:s"}, {"structureDigest", "sha256:u"}, {"names", {"1", "2"}}}},
                     {"tables", json::array({{{"name", "public.orders"}, {"rows", 2}}})}}})}};
  change(manifest);
  files[path + "/backup-manifest.json"] = manifest.dump();
  Sums sums;
  for (const auto& [name, text] : files)
    if (name.compare(0, path.size() + 1, path + "/") == 0 && name != path + "/SHA256SUMS")
      sums[name.substr(path.size() + 1)] = sha256Hex(text);
  files[path + "/SHA256SUMS"] = encodeSums(sums);
  world.process.outputs["pg_restore --data-only"] = "COPY public.orders (id) FROM stdin;\n1\n2\n\\.\n";
}

std::string reasonOf(model::World& world) {
  auto opened = openBackup(world.repository, kPath);
  return opened ? std::string() : opened.error().reason;
}

Outcome verified(model::World& world) {
  world.task.repositoryPath = kPath;
  return verify(world.task, world.env);
}

}  // namespace

TEST_CASE("a whole backup is opened, and proven by a full read") {
  model::World world;
  put(world, kPath);
  REQUIRE(reasonOf(world).empty());
  const auto outcome = verified(world);
  INFO(outcome.code << " " << outcome.message);
  REQUIRE(outcome.kind == Outcome::Kind::Succeeded);
  const auto result = json::parse(outcome.result);
  REQUIRE(result["restores"] == json::array({"database"}));
  REQUIRE(result["files"] == 3);
  REQUIRE(result["missing"].empty());
}

TEST_CASE("a folder that is not what its manifest and sums say is refused by name") {
  struct Case {
    const char* code;
    std::function<void(model::World&)> damage;
  };
  const auto file = [](const char* name) { return kPath + "/" + name; };
  const std::vector<Case> cases = {
      {"BackupNotFound", [](model::World& w) { w.repository.content.clear(); }},
      {"BackupIncomplete", [&](model::World& w) { w.repository.content.erase(file("SHA256SUMS")); }},
      {"BackupIncomplete", [&](model::World& w) { w.repository.content.erase(file("backup-manifest.json")); }},
      {"BackupIncomplete", [&](model::World& w) { w.repository.content.erase(file("postgres/database/1.dat.gz")); }},
      {"BackupDamaged", [&](model::World& w) { w.repository.content[file("postgres/database/2.dat")] = "x"; }},
      {"BackupDamaged", [&](model::World& w) { w.repository.content[file("postgres/database/1.dat.gz")] = "row"; }},
      {"BackupDamaged", [&](model::World& w) { w.repository.content[file("backup-manifest.json")] += " "; }},
      {"HostilePath",
       [&](model::World& w) { w.repository.odd[file("postgres/database/1.dat.gz")] = FileEntry::Kind::Link; }},
      {"HostilePath",
       [&](model::World& w) { w.repository.odd[file("postgres/database/toc.dat")] = FileEntry::Kind::Other; }},
      {"BackupIncomplete",
       [](model::World& w) { put(w, kPath, [](json& m) { m["files"].push_back("postgres/other"); }); }},
      {"BackupDamaged", [](model::World& w) { put(w, kPath, [](json& m) { m["files"].erase(0); }); }},
      {"BackupDamaged",
       [](model::World& w) { put(w, kPath, [](json& m) { m["sizes"]["postgres/database/toc.dat"] = 9; }); }},
      {"BackupDamaged", [](model::World& w) { put(w, kPath, [](json& m) { m["sizes"] = json::array(); }); }},
      {"ManifestUnsupported", [](model::World& w) { put(w, kPath, [](json& m) { m["manifestVersion"] = 3; }); }},
      {"HostilePath", [](model::World& w) { put(w, kPath, [](json& m) { m["stores"][0]["path"] = "../x"; }); }},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    model::World world;
    put(world, kPath);
    cases[i].damage(world);
    INFO("case " << i);
    REQUIRE(reasonOf(world) == cases[i].code);
    REQUIRE(verified(world).code == cases[i].code);
  }
}

TEST_CASE("a manifest with nothing to restore, or of a form nobody reads, is never proven") {
  model::World world;
  put(world, kPath, [](json& m) { m["stores"] = json::array(); });
  REQUIRE(verified(world).code == "StoreMissing");
  put(world, kPath, [](json& m) { m["stores"][0]["format"] = "plain"; });
  REQUIRE(verified(world).code == "ManifestUnsupported");
  put(world, kPath);
  world.task.backup.framework = "other";
  REQUIRE(verified(world).code == "BackupOfAnotherFramework");
  world.task.backup.framework = "shop";
  world.task.backup.version = "2.0.0";
  REQUIRE(verified(world).code == "BackupOfAnotherVersion");
}

namespace {

// The folder of put() with a second store in it.
void putTwo(model::World& world) {
  world.repository.content[kPath + "/postgres/audit/toc.dat"] = "toc of audit";
  put(world, kPath, [](json& m) {
    m["files"].push_back("postgres/audit/toc.dat");
    m["stores"].push_back(m["stores"][0]);
    m["stores"][1].update({{"name", "audit"}, {"path", "postgres/audit"}});
  });
}

std::vector<std::string> archivesRead(const model::World& world) {
  std::vector<std::string> out;
  for (const auto& argv : world.process.ran)
    if (argv.size() > 1 && argv[1] == "--data-only") out.push_back(argv.back().substr(argv.back().rfind('/') + 1));
  return out;
}

}  // namespace

TEST_CASE("a run that verifies one of several stores reads that one, and the first also those that no run is for") {
  struct Case {
    const char* store;
    std::vector<std::string> stores, read;
  };
  for (const auto& c : std::vector<Case>{{"database", {"database", "audit"}, {"database"}},
                                         {"audit", {"database", "audit"}, {"audit"}},
                                         {"database", {"database"}, {"database", "audit"}},
                                         {"database", {}, {"database", "audit"}},
                                         {"", {}, {"database", "audit"}}}) {
    model::World world;
    putTwo(world);
    world.task.backup.store = c.store;
    world.task.backup.stores = c.stores;
    const auto outcome = verified(world);
    INFO(c.store << " of " << c.stores.size() << ": " << outcome.code << " " << outcome.message);
    REQUIRE(outcome.kind == Outcome::Kind::Succeeded);
    REQUIRE(archivesRead(world) == c.read);
    REQUIRE(json::parse(outcome.result)["restores"] == json::array({"database", "audit"}));
  }
}

TEST_CASE("a store that must be there and is not is missed, one that is only looked for is not") {
  model::World world;
  put(world, kPath);
  world.task.backup.store = "audit";
  world.task.backup.stores = {"database", "audit"};
  REQUIRE(verified(world).code == "StoreMissing");
  world.task.unverified = true;
  REQUIRE(verified(world).kind == Outcome::Kind::Succeeded);
  REQUIRE(archivesRead(world).empty());
}

TEST_CASE("the files of another store are hashed by its own run, all others by every run") {
  const auto damage = [](const std::string& file, const char* store) {
    model::World world;
    putTwo(world);
    world.repository.content[kPath + "/" + file][0] ^= 1;
    world.task.backup.store = store;
    world.task.backup.stores = {"database", "audit"};
    return verified(world).code;
  };
  REQUIRE(damage("postgres/audit/toc.dat", "database").empty());
  REQUIRE(damage("postgres/audit/toc.dat", "audit") == "BackupDamaged");
  REQUIRE(damage("postgres/database/1.dat.gz", "audit").empty());
  REQUIRE(damage("postgres/database/1.dat.gz", "database") == "BackupDamaged");
  for (const char* store : {"database", "audit"}) REQUIRE(damage("backup-manifest.json", store) == "BackupDamaged");
  // A manifest that says a file belongs to two is read by both.
  model::World world;
  put(world, kPath, [](json& m) {
    m["stores"].push_back(m["stores"][0]);
    m["stores"][1]["name"] = "audit";
  });
  world.repository.content[kPath + "/postgres/database/1.dat.gz"] = "rowz";
  for (const char* store : {"database", "audit"}) {
    world.task.backup.store = store;
    world.task.backup.stores = {"database", "audit"};
    REQUIRE(verified(world).code == "BackupDamaged");
  }
}

TEST_CASE("rows that came out are counted against the manifest") {
  model::World world;
  put(world, kPath);
  world.process.outputs["pg_restore --data-only"] = "COPY public.orders (id) FROM stdin;\n\\.\n";
  REQUIRE(verified(world).code == "BackupDamaged");
  world.process.outputs["pg_restore --data-only"] = "-- nothing\n";
  REQUIRE(verified(world).code == "BackupDamaged");
}

TEST_CASE("the counter reads what pg_restore prints, in whatever pieces it comes") {
  const std::string script =
      "--\n-- PostgreSQL database dump\n--\n\nCOPY public.orders (id, item) FROM stdin;\n1\tCOPY x FROM "
      "stdin;\n2\t\\\\.\n\n\\.\n\n\n"
      "COPY \"Odd Schema\".\"Odd \"\"T\" (a) FROM stdin;\nx\n\\.\n\nCOPY app.nothing  FROM stdin;\n\n\\.\n"
      "SELECT pg_catalog.lo_open('16385', 131072);\nSELECT pg_catalog.lowrite(0, '\\xab');\n";
  for (std::size_t size = 1; size < script.size(); size += 7) {
    DataCounter counter;
    for (std::size_t at = 0; at < script.size(); at += size) counter.take(std::string_view(script).substr(at, size));
    INFO("pieces of " << size);
    REQUIRE(counter.rows() == std::map<std::string, std::int64_t>{
                                  {"\"Odd Schema\".\"Odd \"\"T\"", 1}, {"app.nothing", 1}, {"public.orders", 3}});
    REQUIRE(counter.largeObjects() == 1);
  }
}

TEST_CASE("partitions written through their root are no contradiction, fewer rows are") {
  StoreRecord record;
  record.tables = {{"app.low", 2, ""}, {"app.high", 1, ""}, {"app.empty", 0, ""}};
  DataCounter counter;
  counter.take("COPY app.root (a) FROM stdin;\n1\n2\n3\n\\.\n");
  REQUIRE(countsProblem(counter, record).empty());
  record.tables.push_back({"app.more", 1, ""});
  REQUIRE(countsProblem(counter, record).find("has no data in it") != std::string::npos);
  record.tables = {};
  record.largeObjects = 1;
  REQUIRE(countsProblem(counter, record).find("0 large objects") != std::string::npos);
}

TEST_CASE("a manifest that would only eat memory is refused before it is parsed") {
  REQUIRE(decodeManifest("{\"framework\": \"x\", \"a\": " + std::string(40, '[') + std::string(40, ']') + "}")
              .error()
              .message.find("deep") != std::string::npos);
  std::string many = "{\"framework\": \"x\", \"a\": [0";
  for (int i = 0; i < 4'000'001; ++i) many += ",0";
  REQUIRE(decodeManifest(many + "]}").error().message.find("values") != std::string::npos);
  REQUIRE(decodeManifest(R"({"framework": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["})").ok());
}

TEST_CASE("a folder of a script is described when asked for, with what it lacks, and never otherwise") {
  model::World world;
  auto& files = world.repository.content;
  files[kPath + "/backup-manifest.json"] =
      R"({"timestamp": "20261124-030000", "framework": "shop", "current_version": "1.0.0", "files": ["data.tar.gz", "gone.json"]})";
  files[kPath + "/data.tar.gz"] = "";
  REQUIRE(verified(world).code == "BackupUnverified");
  world.task.unverified = true;
  const auto outcome = verified(world);
  REQUIRE(outcome.kind == Outcome::Kind::Succeeded);
  const auto result = json::parse(outcome.result);
  REQUIRE(result["restores"].empty());
  REQUIRE(result["manifest"]["current_version"] == "1.0.0");
  const std::string missing = result["missing"].dump();
  for (const char* says : {"no database dump", "gone.json", "data.tar.gz is empty", "no SHA256SUMS"}) {
    INFO(missing);
    REQUIRE(missing.find(says) != std::string::npos);
  }
  files[kPath + "/letta_database.sql"] = "x";
  REQUIRE(json::parse(verified(world).result)["missing"].dump().find("letta_database.sql") != std::string::npos);
  world.task.repositoryDigest = "sha256:frozen";
  REQUIRE(verified(world).code == "BackupUnverified");
}

TEST_CASE("the time of a script's folder is read as UTC") {
  REQUIRE(instantOf("20261124-030000") == "2026-11-24T03:00:00Z");
  for (const char* none : {"", "20261124", "20261124-0300zz", "20261399-030000x"}) REQUIRE(instantOf(none).empty());
}

TEST_CASE("a scan lists the newest first, tells what is wrong with a folder and goes on, and ends at its bounds") {
  model::World world;
  put(world, "shop/shop-backup-20261124-030000");
  put(world, "other/other-backup-20261125-030000", [](json& m) { m["framework"] = "other"; });
  auto& files = world.repository.content;
  files["shop/shop-backup-20261123-030000/backup-manifest.json"] = "{";
  files["shop/shop-backup-20261122-030000/backup-manifest.json"] =
      R"({"timestamp": "20261122-030000", "framework": "shop", "current_version": "0.9.0", "files": []})";
  files["shop/.shop-backup-20261126-030000.part/x"] = "";
  files["shop/notes"] = "";
  files[".hidden/.hidden-backup-1/x"] = "";
  world.repository.odd["shop/shop-backup-20261121-030000"] = FileEntry::Kind::Link;
  files["shop/shop-backup-20261121-030000"] = "";

  auto outcome = scan(world.task, world.env);
  REQUIRE(outcome.kind == Outcome::Kind::Succeeded);
  auto result = json::parse(outcome.result);
  INFO(result.dump(1));
  REQUIRE(result["found"] == 5);
  REQUIRE(result["complete"] == true);
  REQUIRE(result["folders"][0]["path"] == "other/other-backup-20261125-030000");
  const auto& good = result["folders"][1];
  REQUIRE(good["version"] == "1.0.0");
  REQUIRE(good["restores"] == json::array({"database"}));
  REQUIRE(good["schemas"][0]["count"] == 2);
  REQUIRE(good["digest"].get<std::string>().rfind("sha256:", 0) == 0);
  REQUIRE(result["folders"][2]["code"] == "BackupIncomplete");
  REQUIRE_FALSE(result["folders"][2].contains("version"));
  REQUIRE(result["folders"][3]["code"] == "BackupUnverified");
  REQUIRE(result["folders"][3]["version"] == "0.9.0");
  REQUIRE(result["folders"][3]["createdAt"] == "2026-11-22T03:00:00Z");
  REQUIRE_FALSE(result["folders"][3]["missing"].empty());
  REQUIRE(scan(world.task, world.env).result == outcome.result);

  world.task.scan.most = 2;
  result = json::parse(scan(world.task, world.env).result);
  REQUIRE(result["folders"].size() == 2);
  REQUIRE(result["complete"] == false);
  REQUIRE(result["found"] == 5);
  REQUIRE(world.process.ran.empty());
  REQUIRE(world.repository.writes == 0);
}
