#include "mover/manifest.h"

#include "json_fields.h"
#include "mover/files.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

std::string dumped(const json& document) { return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n"; }

json encode(const ImageRecord& image) {
  return {{"component", image.component},
          {"container", image.container},
          {"image", image.image},
          {"imageID", image.imageID}};
}

json encode(const SchemaLevel& schema, bool withNames) {
  json out = {{"state", schema.known() ? "Known" : "Unknown"},
              {"count", schema.names.size()},
              {"digest", schema.digest},
              {"structureDigest", schema.structureDigest}};
  if (!schema.unknownReason.empty()) out["reason"] = schema.unknownReason;
  if (withNames) out["names"] = schema.names;
  return out;
}

json encode(const DatabaseRecord& d) {
  json settings = json::array(), extensions = json::array();
  for (const auto& s : d.settings) settings.push_back({{"role", s.role}, {"config", s.config}});
  for (const auto& e : d.extensions)
    extensions.push_back({{"name", e.name}, {"version", e.version}, {"schema", e.schema}});
  return {{"name", d.name},
          {"oid", d.oid},
          {"owner", d.owner},
          {"encoding", d.encoding},
          {"collate", d.collate},
          {"ctype", d.ctype},
          {"provider", d.provider},
          {"icuLocale", d.icuLocale},
          {"tablespace", d.tablespace},
          {"connectionLimit", d.connectionLimit},
          {"acl", d.aclIsDefault ? json(nullptr) : json(d.acl)},
          {"settings", settings},
          {"comment", d.comment},
          {"sizeBytes", d.sizeBytes},
          {"extensions", extensions}};
}

json encode(const StoreRecord& s) {
  json tables = json::array(), sequences = json::array(), roles = json::array(), checks = json::array();
  for (const auto& t : s.tables) tables.push_back({{"name", t.name}, {"rows", t.rows}, {"hash", t.hash}});
  for (const auto& q : s.sequences) {
    json item = {{"name", q.name}, {"lastValue", q.lastValue}, {"isCalled", q.isCalled}};
    if (q.behind) item["behind"] = true;
    sequences.push_back(item);
  }
  for (const auto& r : s.roles) roles.push_back({{"name", r.name}, {"owner", r.owner}});
  for (const auto& c : s.checks) {
    json item = {{"name", c.name}, {"value", c.value}};
    if (!c.error.empty()) item["error"] = c.error;
    checks.push_back(item);
  }
  return {
      {"name", s.name},
      {"driver", s.driver},
      {"path", s.path},
      {"format", s.format},
      {"catalogPath", s.catalogPath},
      {"instant", {{"snapshotAt", s.snapshotAt}, {"lsn", s.lsn}}},
      {"server",
       {{"version", s.serverVersion}, {"versionNum", s.serverVersionNum}, {"systemIdentifier", s.systemIdentifier}}},
      {"tools", {{"version", s.toolsVersion}}},
      {"database", encode(s.database)},
      {"schema", encode(s.schema, true)},
      {"tables", tables},
      {"sequences", sequences},
      {"largeObjects", {{"count", s.largeObjects}, {"hash", s.largeObjectsHash}}},
      {"owners", s.owners},
      {"roles", roles},
      {"checks", checks}};
}

json encodeHead(const Manifest& m) {
  json images = json::array();
  for (const auto& image : m.images) images.push_back(encode(image));
  return {{"timestamp", m.timestamp},
          {"framework", m.framework},
          {"current_version", m.currentVersion},
          {"target_version", m.targetVersion},
          {"backup_type", m.backupType},
          {"manifestVersion", m.manifestVersion},
          {"id", m.id},
          {"createdAt", m.createdAt},
          {"completedAt", m.completedAt},
          {"class", m.frameworkClass},
          {"namespace", m.namespace_},
          {"images", images},
          {"unsettled", m.unsettled}};
}

void read(Fields& in, SchemaLevel& out) {
  in.text("digest", out.digest);
  in.text("structureDigest", out.structureDigest);
  in.text("reason", out.unknownReason);
  in.texts("names", out.names);
}

void read(Fields& in, DatabaseRecord& out) {
  in.text("name", out.name);
  in.integer("oid", out.oid, 0, UINT32_MAX);
  in.text("owner", out.owner);
  in.text("encoding", out.encoding);
  in.text("collate", out.collate);
  in.text("ctype", out.ctype);
  in.text("provider", out.provider);
  in.text("icuLocale", out.icuLocale);
  in.text("tablespace", out.tablespace);
  in.integer("connectionLimit", out.connectionLimit, -2, INT32_MAX);
  out.aclIsDefault = in.find("acl") == nullptr;
  in.texts("acl", out.acl);
  in.objects("settings", [&](Fields& at) {
    auto& item = out.settings.emplace_back();
    at.text("role", item.role);
    at.texts("config", item.config);
  });
  in.text("comment", out.comment);
  in.integer("sizeBytes", out.sizeBytes, 0, INT64_MAX);
  in.objects("extensions", [&](Fields& at) {
    auto& item = out.extensions.emplace_back();
    at.text("name", item.name);
    at.text("version", item.version);
    at.text("schema", item.schema);
  });
}

void readPath(Fields& in, const char* name, std::string& out) {
  in.text(name, out);
  if (!out.empty() && !pathProblem(out).empty()) in.complain(name, "a path inside the folder");
}

void read(Fields& in, StoreRecord& out) {
  in.text("name", out.name);
  in.text("driver", out.driver);
  readPath(in, "path", out.path);
  readPath(in, "catalogPath", out.catalogPath);
  in.text("format", out.format);
  in.object("instant", [&](Fields& at) {
    at.text("snapshotAt", out.snapshotAt);
    at.text("lsn", out.lsn);
  });
  in.object("server", [&](Fields& at) {
    at.text("version", out.serverVersion);
    at.integer("versionNum", out.serverVersionNum, 0, INT32_MAX);
    at.text("systemIdentifier", out.systemIdentifier);
  });
  in.object("tools", [&](Fields& at) { at.text("version", out.toolsVersion); });
  in.object("database", [&](Fields& at) { read(at, out.database); });
  in.object("schema", [&](Fields& at) { read(at, out.schema); });
  in.objects("tables", [&](Fields& at) {
    auto& item = out.tables.emplace_back();
    at.text("name", item.name);
    at.integer("rows", item.rows, 0, INT64_MAX);
    at.text("hash", item.hash);
  });
  in.objects("sequences", [&](Fields& at) {
    auto& item = out.sequences.emplace_back();
    at.text("name", item.name);
    at.integer("lastValue", item.lastValue, INT64_MIN, INT64_MAX);
    at.flag("isCalled", item.isCalled);
    at.flag("behind", item.behind);
  });
  in.object("largeObjects", [&](Fields& at) {
    at.integer("count", out.largeObjects, 0, INT64_MAX);
    at.text("hash", out.largeObjectsHash);
  });
  in.text("owners", out.owners);
  in.objects("roles", [&](Fields& at) {
    auto& item = out.roles.emplace_back();
    at.text("name", item.name);
    at.flag("owner", item.owner);
  });
  in.objects("checks", [&](Fields& at) {
    auto& item = out.checks.emplace_back();
    at.text("name", item.name);
    at.text("value", item.value);
    at.text("error", item.error);
  });
}

void readSizes(Fields& in, std::map<std::string, std::uint64_t>& out) {
  const auto* sizes = in.find("sizes");
  if (!sizes) return;
  if (!sizes->is_object()) return in.complain("sizes", "an object");
  for (const auto& [path, size] : sizes->items()) {
    if (!size.is_number_unsigned()) return in.complain("sizes", "path: bytes");
    out[path] = size.get<std::uint64_t>();
  }
}

// Counted before it is parsed: a document of a few megabytes that is nothing but brackets becomes gigabytes of values,
// and a Job that dies of that says nothing. Brackets in strings are none.
std::string shapeProblem(const std::string& text) {
  constexpr std::size_t kDeepest = 32, kMostValues = 4'000'000;
  std::size_t depth = 0, values = 1;
  bool inText = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (inText) {
      if (c == '\\') ++at;
      if (c == '"') inText = false;
      continue;
    }
    if (c == '"') inText = true;
    if (c == ',' || c == '[' || c == '{') ++values;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kDeepest) return "it is nested more than " + std::to_string(kDeepest) + " deep";
    if (values > kMostValues) return "it holds more than " + std::to_string(kMostValues) + " values";
  }
  return {};
}

void read(Fields& in, Manifest& out) {
  in.text("timestamp", out.timestamp);
  in.text("framework", out.framework);
  in.text("current_version", out.currentVersion);
  in.text("target_version", out.targetVersion);
  in.text("backup_type", out.backupType);
  in.texts("files", out.files);
  readSizes(in, out.sizes);
  in.text("id", out.id);
  in.text("createdAt", out.createdAt);
  in.text("completedAt", out.completedAt);
  in.text("class", out.frameworkClass);
  in.text("namespace", out.namespace_);
  in.flag("unsettled", out.unsettled);
  in.objects("images", [&](Fields& at) {
    auto& item = out.images.emplace_back();
    at.text("component", item.component);
    at.text("container", item.container);
    at.text("image", item.image);
    at.text("imageID", item.imageID);
  });
  in.objects("stores", [&](Fields& at) { read(at, out.stores.emplace_back()); });
  in.objects("keys", [&](Fields& at) {
    auto& item = out.keys.emplace_back();
    at.text("name", item.name);
    at.text("salt", item.salt);
    at.text("fingerprint", item.fingerprint);
    at.object("scrypt", [&](Fields& cost) {
      cost.integer("n", item.cost.n, 0, INT64_MAX);
      cost.integer("r", item.cost.r, 0, INT64_MAX);
      cost.integer("p", item.cost.p, 0, INT64_MAX);
    });
  });
}

}  // namespace

const StoreRecord* Manifest::store(const std::string& name) const {
  for (const auto& record : stores)
    if (record.name == name) return &record;
  return nullptr;
}

std::string encodeManifest(const Manifest& manifest) {
  json out = encodeHead(manifest);
  out["files"] = manifest.files;
  if (!manifest.sizes.empty()) out["sizes"] = manifest.sizes;
  out["stores"] = json::array();
  for (const auto& store : manifest.stores) out["stores"].push_back(encode(store));
  out["keys"] = json::array();
  for (const auto& key : manifest.keys) {
    json item = {{"name", key.name}};
    if (!key.fingerprint.empty())
      item.update({{"salt", key.salt},
                   {"scrypt", {{"n", key.cost.n}, {"r", key.cost.r}, {"p", key.cost.p}}},
                   {"fingerprint", key.fingerprint}});
    out["keys"].push_back(item);
  }
  return dumped(out);
}

std::string encodeManifestSummary(const Manifest& manifest) {
  json out = encodeHead(manifest);
  out["stores"] = json::array();
  for (const auto& store : manifest.stores) {
    json tables = json::array();
    for (const auto& table : store.tables) tables.push_back({{"name", table.name}, {"rows", table.rows}});
    out["stores"].push_back(
        {{"name", store.name},
         {"driver", store.driver},
         {"instant", {{"snapshotAt", store.snapshotAt}, {"lsn", store.lsn}}},
         {"server", {{"version", store.serverVersion}, {"systemIdentifier", store.systemIdentifier}}},
         {"database", {{"name", store.database.name}, {"sizeBytes", store.database.sizeBytes}}},
         {"schema", encode(store.schema, false)},
         {"tables", tables}});
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Manifest> decodeManifest(const std::string& text) {
  if (const std::string why = shapeProblem(text); !why.empty())
    return problem(ErrorCode::BadInput, "BackupDamaged", "backup-manifest.json is none of ours: " + why);
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object())
    return problem(ErrorCode::BadInput, "BackupDamaged",
                   "backup-manifest.json is not a JSON object: it was cut or overwritten");
  Manifest manifest;
  std::string wrong;
  Fields fields(document, "", wrong);
  // The version first: a newer one may have given a field another type.
  manifest.manifestVersion = 1;
  fields.integer("manifestVersion", manifest.manifestVersion, 0, INT32_MAX);
  if (wrong.empty() && manifest.manifestVersion > 2)
    return problem(ErrorCode::BadInput, "ManifestUnsupported",
                   "backup-manifest.json is of version " + std::to_string(manifest.manifestVersion) +
                       ", this program knows version 2; use the operator that made the backup, or a newer one");
  read(fields, manifest);
  if (wrong.empty()) {
    if (manifest.framework.empty()) wrong = "field framework is missing";
    return wrong.empty() ? Result<Manifest>(manifest)
                         : problem(ErrorCode::BadInput, "BackupDamaged", "backup-manifest.json: " + wrong);
  }
  const bool path = wrong.find("a path inside the folder") != std::string::npos;
  return problem(ErrorCode::BadInput, path ? "HostilePath" : "BackupDamaged", "backup-manifest.json: " + wrong);
}

}  // namespace rollback::mover
