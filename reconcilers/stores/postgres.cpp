#include "stores/postgres.h"

#include <nlohmann/json.hpp>

#include "api/digest.h"
#include "api/quantity.h"
#include "api/resources.h"
#include "common/claims.h"

namespace rollback::reconcilers {
namespace {

using nlohmann::json;

std::string dumped(const json& task) { return task.dump(-1, ' ', false, json::error_handler_t::replace); }

json parsed(const std::string& task) { return json::parse(task); }

constexpr const char* kAnyAttempt = "999999";  // of staging: none is later

// PostgreSQL cuts names at 63 bytes, silently: we shorten the base ourselves, at a character boundary, and add a digest
// of the whole, as the mover does (mover/names.h).
std::string generated(const std::string& base, const std::string& suffix) {
  const std::size_t room = std::size_t{63} - suffix.size();
  if (base.size() <= room) return base + suffix;
  std::size_t keep = room - 9;
  while (keep > 0 && (static_cast<unsigned char>(base[keep]) & 0xC0) == 0x80) --keep;
  return base.substr(0, keep) + "_" + api::sha256Hex(base).substr(0, 8) + suffix;
}

json healthJson(const std::vector<HealthUrl>& urls) {
  json out = json::array();
  for (const auto& url : urls)
    out.push_back(
        {{"name", url.name}, {"url", url.url}, {"status", url.status}, {"timeoutSeconds", url.timeoutSeconds}});
  return out;
}

// What every task says.
json taskHead(const char* verb, const JobOwner& owner, const api::StepRecord& record, std::int64_t deadlineSeconds) {
  return {{"version", 1},
          {"verb", verb},
          {"id", shortId(owner.uid)},
          {"attempt", record.attempt},
          {"token", record.token},
          {"deadlineSeconds", deadlineSeconds}};
}

}  // namespace

std::string healthTask(const JobOwner& owner, const api::StepRecord& record, const std::vector<HealthUrl>& urls,
                       std::int64_t deadlineSeconds) {
  json task = taskHead("check", owner, record, deadlineSeconds);
  task["health"] = healthJson(urls);
  return dumped(task);
}

const api::StoreClass* findStoreClass(const api::FrameworkClassSpec& frameworkClass, const std::string& name) {
  for (const auto& store : frameworkClass.stores)
    if (store.name == name) return &store;
  return nullptr;
}

std::vector<HealthUrl> healthUrls(const api::FrameworkSpec& framework, const api::FrameworkClassSpec& frameworkClass,
                                  const std::string& namespace_) {
  std::vector<HealthUrl> urls;
  const auto service = [&](const std::string& component) -> std::string {
    for (const auto& c : framework.components)
      if (c.name == component) return c.serviceName;
    return {};
  };
  const auto url = [&](const std::string& host, const api::HttpProbe& probe) {
    return "http://" + host + "." + namespace_ + ":" + std::to_string(probe.port) +
           (probe.path.rfind('/', 0) == 0 ? "" : "/") + probe.path;
  };
  for (const auto& component : frameworkClass.components)
    if (const auto host = service(component.name); !host.empty())
      for (const auto& health : component.health)
        urls.push_back(
            {component.name + "/" + health.name, url(host, health.http), health.http.status, health.timeoutSeconds});
  for (const auto& check : frameworkClass.checks)
    if (const auto host = service(check.component); !host.empty())
      urls.push_back({check.name, url(host, check.http), check.http.status, 60});
  return urls;
}

std::string PostgresDriver::toolsImage() const {
  const auto& tools = store.postgres->tools;
  if (!tools.image.empty()) return tools.image;
  const WorkloadView* view = ns.workload(tools.workloadKind, tools.workloadName);
  if (!view || !view->workload) return {};
  if (tools.container.empty())
    return view->workload->containers.size() == 1 ? view->workload->containers.front().image : std::string();
  const kube::Container* container = view->workload->container(tools.container);
  return container ? container->image : std::string();
}

PostgresDriver::Capacity PostgresDriver::capacity() const {
  const auto& pg = *store.postgres;
  if (pg.capacityBytes > 0) return {pg.capacityBytes, "stores[].postgres.capacity of the Framework"};
  const WorkloadView* view = ns.workload(pg.tools.workloadKind, pg.tools.workloadName);
  if (!view || !view->workload) return {0, "stores[].postgres.capacity is not declared, and tools names no workload"};
  const std::string name = dataClaimOf(*view->workload);
  const std::string workload = pg.tools.workloadKind + "/" + pg.tools.workloadName;
  if (name.empty())
    return {0, "stores[].postgres.capacity is not declared, and " + workload + " does not have exactly one claim"};
  const auto claim = ns.claims.find(name);
  if (claim == ns.claims.end() || claim->second.capacity.empty())
    return {0, "stores[].postgres.capacity is not declared, and claim " + name + " of " + workload + " is not bound"};
  const auto bytes = api::parseQuantity(claim->second.capacity);
  if (!bytes) return {0, "the capacity of claim " + name + " cannot be read: " + claim->second.capacity};
  return {*bytes, "claim " + name + " of " + workload};
}

std::vector<std::pair<std::string, std::string>> PostgresDriver::keySources() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& key : frameworkClass.keys) {
    std::string source;
    for (const auto& component : framework.components) {
      if (component.name != key.component) continue;
      const WorkloadView* view = ns.workload(component.workloadKind, component.workloadName);
      if (!view || !view->workload) continue;
      for (const auto& container : view->workload->containers) {
        if (!component.container.empty() && container.name != component.container) continue;
        for (const auto& env : container.env)
          if (env.name == key.env && !env.literal && env.valueFrom.find("KeyRef") != std::string::npos)
            source = env.valueFrom;
      }
    }
    out.emplace_back(key.name, source);
  }
  return out;
}

std::string PostgresDriver::Names::stage(int attempt) const {
  return generated(database, "_stage_" + id + "_" + std::to_string(attempt));
}

PostgresDriver::Names PostgresDriver::names(const std::string& uid) const {
  Names out;
  out.database = store.postgres->database;
  out.id = shortId(uid);
  out.prev = generated(out.database, "_prev_" + out.id);
  out.reverted = generated(out.database, "_reverted_" + out.id);
  return out;
}

JobSpec PostgresDriver::base(const api::StepRecord& record, const char* step, Effect effect,
                             std::int64_t deadlineSeconds) const {
  const auto& pg = *store.postgres;
  JobSpec spec;
  spec.name = record.jobName;
  spec.owner = owner;
  spec.step = step;
  spec.store = store.name;
  spec.effect = effect;
  spec.image = toolsImage();
  spec.deadlineSeconds = deadlineSeconds;
  spec.ttlSecondsAfterFinished = effect == Effect::Read ? 300 : -1;
  spec.postgres = &pg;
  spec.jobTemplate = &framework.jobTemplate;
  const WorkloadView* tools = ns.workload(pg.tools.workloadKind, pg.tools.workloadName);
  if (tools && tools->workload) spec.imagePullSecrets = tools->workload->imagePullSecrets;
  json task = taskHead(step, owner, record, deadlineSeconds);
  task["postgres"] = {{"host", pg.host},
                      {"port", pg.port},
                      {"directHost", pg.directHost},
                      {"database", pg.database},
                      {"maintenanceDatabase", pg.maintenanceDatabase},
                      {"sslMode", pg.tlsMode},
                      {"capacityBytes", pg.capacityBytes},
                      {"spaceCheck", "Require"}};
  task["parallel"] = 2;
  if (pg.otherClients == "Terminate") task["otherClients"] = json::array({"*"});
  if (!storeClass.schemaQuery.empty()) task["schema"] = {{"query", storeClass.schemaQuery}};
  task["checks"] = json::array();
  for (const auto& check : storeClass.checks) {
    json entry = {{"name", check.name}, {"query", check.query}};
    if (check.min) entry["min"] = *check.min;
    task["checks"].push_back(entry);
  }
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::inspect(const api::StepRecord& record, const std::string& backupPath,
                                std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "inspect", Effect::Read, deadlineSeconds);
  json task = parsed(spec.task);
  task["postgres"]["capacityBytes"] = capacity().bytes;
  if (!backupPath.empty() && ns.repository) {
    task["repository"] = {{"path", backupPath}};
    task["backup"] = {{"store", store.name}, {"framework", owner.framework}};
    spec.repository = &*ns.repository;
  }
  spec.keys = keySources();
  task["keys"] = json::array();
  for (const auto& [name, source] : spec.keys) task["keys"].push_back({{"name", name}});
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::verify(const api::StepRecord& record, const api::PlannedBackup& backup,
                               const std::vector<std::string>& stores, bool unchosen,
                               std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "verify", Effect::Read, deadlineSeconds);
  json task = parsed(spec.task);
  task["repository"] = {{"path", backup.path}, {"digest", backup.digest}};
  task["backup"] = {
      {"framework", owner.framework}, {"version", backup.version}, {"store", store.name}, {"stores", stores}};
  if (unchosen) task["repository"]["unverified"] = true;
  spec.repository = ns.repository ? &*ns.repository : nullptr;
  spec.postgres = nullptr;  // it reads files; no credential is needed
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::stage(const api::StepRecord& record, const api::RollbackPlan& plan,
                              const api::PlannedStore& planned, bool requireSpace, std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "stage", Effect::Write, deadlineSeconds);
  json task = parsed(spec.task);
  task["postgres"]["spaceCheck"] = requireSpace ? "Require" : "Skip";
  task["postgres"]["capacityBytes"] = planned.capacityBytes;  // the plan's, which was judged
  task["repository"] = {{"path", plan.backup->path}, {"digest", plan.backup->digest}};
  task["backup"] = {{"store", store.name}, {"framework", owner.framework}, {"version", plan.backup->version}};
  task["expect"] = {{"systemIdentifier", planned.systemIdentifier}, {"liveOid", planned.liveOid}};
  for (const auto& after : storeClass.afterStage)
    task["afterStage"].push_back({{"name", after.name}, {"statement", after.statement}});
  task["names"] = {{"stage", names(owner.uid).stage(record.attempt)},
                   {"prev", planned.prevName},
                   {"reverted", planned.revertedName}};
  spec.repository = ns.repository ? &*ns.repository : nullptr;
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::swap(const char* verb, const api::StepRecord& record, const api::PlannedStore& planned,
                             std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, verb, Effect::Write, deadlineSeconds);
  json task = parsed(spec.task);
  task["expect"] = {
      {"systemIdentifier", planned.systemIdentifier}, {"liveOid", planned.liveOid}, {"stageOid", planned.stageOid}};
  task["names"] = {{"stage", planned.stageName}, {"prev", planned.prevName}, {"reverted", planned.revertedName}};
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::switchOver(const api::StepRecord& record, const api::PlannedStore& planned,
                                   std::int64_t deadlineSeconds) const {
  JobSpec spec = swap("switch", record, planned, deadlineSeconds);
  spec.waitsForGo = true;
  return spec;
}

JobSpec PostgresDriver::switchBack(const api::StepRecord& record, const api::PlannedStore& planned,
                                   std::int64_t deadlineSeconds) const {
  return swap("switchback", record, planned, deadlineSeconds);
}

JobSpec PostgresDriver::check(const api::StepRecord& record, const api::PlannedStore& planned, bool health,
                              std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "check", Effect::Read, deadlineSeconds);
  json task = parsed(spec.task);
  task["health"] = health ? healthJson(healthUrls(framework, frameworkClass, owner.namespace_)) : json::array();
  if (planned.targetSchema.known()) task["expect"] = {{"schemaDigest", planned.targetSchema.digest}};
  if (planned.stageOid != 0) task["names"] = {{"prev", planned.prevName}};
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::discard(const api::StepRecord& record, const api::PlannedStore& planned,
                                std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "discard", Effect::Write, deadlineSeconds);
  json task = parsed(spec.task);
  task["expect"] = {{"systemIdentifier", planned.systemIdentifier}, {"liveOid", planned.liveOid}};
  // Whose shadows: generated names end in the id of the rollback they were made for.
  const std::string id = planned.prevName.substr(planned.prevName.rfind('_') + 1);
  task["id"] = id;
  task["names"] = {{"stage", planned.stageName.empty() ? generated(planned.database, "_stage_" + id + "_" + kAnyAttempt)
                                                       : planned.stageName},
                   {"prev", planned.prevName},
                   {"reverted", planned.revertedName}};
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::cleanup(const api::StepRecord& record, const std::vector<api::KeptCopy>& drop,
                                std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "cleanup", Effect::Write, deadlineSeconds);
  json task = parsed(spec.task);
  task["drop"] = json::array();
  for (const auto& copy : drop) task["drop"].push_back({{"name", copy.name}, {"oid", copy.oid}});
  spec.ttlSecondsAfterFinished = 3600;
  spec.task = dumped(task);
  return spec;
}

JobSpec PostgresDriver::backup(const api::StepRecord& record, const std::string& path, const std::string& version,
                               const std::string& reason, const std::vector<RunningImage>& images,
                               const std::vector<std::string>& stores, std::int64_t deadlineSeconds) const {
  JobSpec spec = base(record, "backup", Effect::Write, deadlineSeconds);
  json task = parsed(spec.task);
  json list = json::array();
  for (const auto& image : images)
    list.push_back({{"component", image.component},
                    {"container", image.container},
                    {"image", image.image},
                    {"imageID", image.imageID}});
  task["repository"] = {{"path", path}};
  task["backup"] = {{"framework", owner.framework},
                    {"class", framework.className},
                    {"namespace", owner.namespace_},
                    {"version", version},
                    {"store", store.name},
                    {"stores", stores},
                    {"images", list},
                    {"reason", reason}};
  spec.keys = keySources();
  task["keys"] = json::array();
  for (const auto& [name, source] : spec.keys) task["keys"].push_back({{"name", name}});
  spec.repository = ns.repository ? &*ns.repository : nullptr;
  spec.repositoryWritable = true;
  spec.task = dumped(task);
  return spec;
}

}  // namespace rollback::reconcilers
