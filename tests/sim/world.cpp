#include "sim/world.h"

#include <algorithm>
#include <cstring>

#include "api/resources.h"
#include "mover/names.h"
#include "mover/verbs.h"

namespace rollback::sim {
namespace {

constexpr const char* kReplicaSet = "-rs";         // after a Deployment's name, the name of its ReplicaSet
constexpr const char* kCronJobLabel = "cron-job";  // of pods: the CronJob they are of

std::string at(const json& object, std::initializer_list<const char*> path) { return rules::textAt(&object, path); }

bool deleting(const json& object) { return object["metadata"].contains("deletionTimestamp"); }

std::string phaseOf(const json& pod) { return at(pod, {"status", "phase"}); }

bool ended(const json& pod) { return phaseOf(pod) == "Succeeded" || phaseOf(pod) == "Failed"; }

bool ready(const json& pod) {
  if (const json* conditions = rules::memberAt(&pod, {"status", "conditions"}))
    for (const auto& condition : *conditions)
      if (condition["type"] == "Ready") return condition["status"] == "True";
  return false;
}

bool ownedBy(const json& object, const std::string& uid) {
  const json* owners = rules::memberAt(&object, {"metadata", "ownerReferences"});
  if (owners)
    for (const auto& owner : *owners)
      if (owner["uid"] == uid) return true;
  return false;
}

std::string imageOf(const json& podSpec) { return podSpec["containers"][0]["image"].get<std::string>(); }

bool jobEnded(const json& job) {
  if (const json* conditions = rules::memberAt(&job, {"status", "conditions"}))
    for (const auto& condition : *conditions)
      if ((condition["type"] == "Complete" || condition["type"] == "Failed") && condition["status"] == "True")
        return true;
  return false;
}

constexpr const char* kController = "system:kube-controller-manager";
constexpr const char* kKubelet = "system:node:one";

// The run of a true verb: time stands still but for its own sleeps.
struct Parked {};
class VerbWaiter final : public mover::Waiter {
 public:
  VerbWaiter(model::FakeClock& clock, const bool& parks) : clock_(clock), parks_(parks) {}
  void sleep(Millis time) override {
    if (parks_) throw Parked{};
    clock_.time += time;
  }

 private:
  model::FakeClock& clock_;
  const bool& parks_;
};
class VerbProgress final : public mover::Progress {
 public:
  explicit VerbProgress(bool& waitsForGo) : waitsForGo_(waitsForGo) {}
  void report(std::uint64_t, std::uint64_t, const std::string&, const std::string& what) override {
    waitsForGo_ = what == "waiting for go";
  }

 private:
  bool& waitsForGo_;
};

// The name of the Job or Deployment that a pod is of.
std::string ownerOf(const json& pod) {
  const json& owner = pod["metadata"]["ownerReferences"][0];
  const std::string name = owner["name"];
  return owner["kind"] == "ReplicaSet" ? name.substr(0, name.size() - std::strlen(kReplicaSet)) : name;
}

// What a pod takes before it ends; its process works on meanwhile.
Millis sleepBeforeStop(const json& pod) {
  const json* sleep = rules::memberAt(&pod["spec"]["containers"][0], {"lifecycle", "preStop", "sleep"});
  return std::chrono::seconds(sleep ? sleep->value("seconds", 0) : 0);
}

}  // namespace

std::string versionIn(const std::string& image) { return image.substr(image.rfind(':') + 1); }

World::World(std::uint64_t seed, rules::Options options) : dice(seed), checker(std::move(options), this) {
  server.onRecord = [this](const rules::Record& record) {
    if (tracing)
      trace("    " + record.what() + " by " + (record.impersonated.empty() ? record.user : record.impersonated));
    if (tracing && record.resource == "frameworkrollbacks" && record.subresource == "status")
      trace("    " + at(*record.response, {"status", "phase"}) + ", " + at(*record.response, {"status", "step"}) +
            ": " + at(*record.response, {"status", "message"}));
    const std::size_t before = checker.violations().size();
    checker.see(record);
    for (std::size_t i = before; i < checker.violations().size(); ++i)
      trace("!!! " + checker.violations()[i].rule + ": " + checker.violations()[i].text);
  };
  server.onChange = [this](const std::string& plural, const json& object, bool gone) { changed(plural, object, gone); };
  addStore("database", "shop");
}

void World::addStore(const std::string& name, const std::string& database) {
  const auto oid = static_cast<mover::Oid>(16385 + stores.size());
  stores.push_back({name, database, oid});
  postgres.databases[database] = {oid, true, ""};
  contents[oid] = {"2.0.0", 0, false};
}

void World::trace(const std::string& line) {
  if (!tracing) return;
  char time[32];
  std::snprintf(time, sizeof time, "%10.3f  ", static_cast<double>(clock.time.count()) / 1000);
  lines.push_back(time + line);
}

void World::pass(Millis time) {
  const Millis until = clock.time + time;
  while (!timeline.empty() && timeline.next() <= until) step();
  if (clock.time < until) clock.time = until;
}

void World::step() {
  timeline.step();
  watchData();
}

int World::processesOf(const std::string& workload) const {
  return static_cast<int>(
      std::count_if(processes.begin(), processes.end(), [&](const auto& p) { return p.second.workload == workload; }));
}

std::vector<std::string> World::writersOf(const std::string& ownerUid) const {
  std::vector<std::string> out;
  for (const auto& [uid, process] : processes)
    if (process.mover() && process.writes && process.ownerUid == ownerUid && !process.orphan)
      out.push_back(process.pod);
  return out;
}

mover::Oid World::oidOf(const std::string& database) const {
  const auto found = postgres.databases.find(database);
  return found == postgres.databases.end() ? 0 : found->second.oid;
}

std::vector<mover::Oid> World::liveOids() const {
  std::vector<mover::Oid> out;
  for (const auto& store : stores) out.push_back(oidOf(store.database));
  return out;
}

bool World::original(mover::Oid oid) const {
  return std::any_of(stores.begin(), stores.end(), [&](const Store& store) { return store.original == oid; });
}

bool World::allOriginal() const {
  return std::all_of(stores.begin(), stores.end(),
                     [this](const Store& store) { return oidOf(store.database) == store.original; });
}

bool World::allLiveOpen() const {
  return std::all_of(stores.begin(), stores.end(), [this](const Store& store) {
    const auto live = postgres.databases.find(store.database);
    return live != postgres.databases.end() && live->second.open;
  });
}

bool World::applicationServes() const {
  if (!allLiveOpen()) return false;
  for (const auto& key : server.keysOf("deployments")) {
    const json& deployment = *server.find("deployments", key);
    const int wanted = deployment["spec"].value("replicas", 1);
    int up = 0;
    for (const auto& podKey : server.keysOf("pods")) {
      const json& pod = *server.find("pods", podKey);
      if (ownedBy(pod, at(deployment, {"metadata", "uid"})) && ready(pod) && !deleting(pod)) ++up;
    }
    if (wanted == 0 || up < wanted) return false;
  }
  return true;
}

// S2: what was acknowledged exists, and so does the original, until its time is over. S3: one restore into one shadow.
void World::watchData() {
  for (const auto& [name, base] : postgres.databases) lastNames_[base.oid] = name;
  for (auto& [oid, content] : contents) {
    const bool kept = original(oid) || content.acknowledged > 0;
    if (!kept || missed.count(oid)) continue;
    const bool there = std::any_of(postgres.databases.begin(), postgres.databases.end(),
                                   [oid = oid](const auto& each) { return each.second.oid == oid; });
    if (there) continue;
    missed.insert(oid);
    if (const auto until = keptUntil.find(oid); until != keptUntil.end() && clock.wall() >= until->second) continue;
    checker.report("S2", "the database with OID " + std::to_string(oid) + ", last called " + lastNames_[oid] +
                             ", is gone, and with it " + std::to_string(content.acknowledged) + " acknowledged rows");
    trace("!!! S2: " + lastNames_[oid] + " is gone");
  }
  for (auto& [name, count] : restores)
    if (count > 1) {
      checker.report("S3", "shadow " + name + " was restored into " + std::to_string(count) + " times");
      count = 1;
    }
  std::map<std::string, std::string> busy;
  for (const auto& [uid, process] : processes) {
    if (!process.mover() || !process.active() || process.orphan) continue;
    const auto [other, first] = busy.emplace(process.database, process.verb + " " + process.pod);
    if (!first && !doubled_) {
      const std::string both = other->second + " and " + process.verb + " " + process.pod;
      if (pending_.insert("S3 " + both).second) checker.report("S3", "two movers may write at once: " + both);
    }
  }
}

// --- controllers ----------------------------------------------------------------------------------------------------

void World::changed(const std::string& plural, const json& object, bool gone) {
  const std::string key = at(object, {"metadata", "namespace"}).empty()
                              ? at(object, {"metadata", "name"})
                              : at(object, {"metadata", "namespace"}) + "/" + at(object, {"metadata", "name"});
  const std::string uid = at(object, {"metadata", "uid"});
  const auto later = [&](const std::string& what, std::function<void()> then, Millis besides = Millis(0)) {
    if (!pending_.insert(what).second) return;
    timeline.after(latency() + besides, [this, what, then = std::move(then)] {
      pending_.erase(what);
      then();
    });
  };
  if (plural == "deployments" && !gone)
    later("deployment " + key, [this, key] { syncDeployment(key); });
  else if (plural == "jobs" && !gone)
    later("job " + key, [this, key] { syncJob(key); });
  else if (plural == "pods") {
    const json* owners = rules::memberAt(&object, {"metadata", "ownerReferences"});
    if (owners && !owners->empty()) {
      const std::string owner = at(object, {"metadata", "namespace"}) + "/" + ownerOf(object);
      if ((*owners)[0]["kind"] == "Job")
        later("job " + owner, [this, owner] { syncJob(owner); });
      else
        later("deployment " + owner, [this, owner] { syncDeployment(owner); });
    }
    if (!gone && deleting(object))
      later(
          "stop " + uid, [this, key, uid] { stopPod(key, uid); }, sleepBeforeStop(object));
    else if (!gone) {
      const std::string go = at(object, {"metadata", "annotations", api::kAnnotationGo});
      const auto process = processes.find(uid);
      if (process != processes.end() && process->second.go.empty() && !go.empty()) {
        process->second.go = go;
        timeline.after(latency(), [this, uid] { runMover(uid); });
      }
    }
  }
  if (gone && (plural == "jobs" || plural == "frameworkrollbacks" || plural == "frameworkbackups" ||
               plural == "frameworks" || plural == "deployments"))
    timeline.after(latency(), [this, uid] { collectOrphans(uid); });
  if (plural == "frameworks")
    if (const json* kept = rules::memberAt(&object, {"status", "kept"}))
      for (const auto& copy : *kept) {
        WallTime until{};
        if (parseTime(at(copy, {"until"}), until)) keptUntil[copy.value("oid", 0U)] = until;
      }
  onChange(plural, object, gone);
  onUserSees(plural, object, gone);
}

void World::collectOrphans(const std::string& uid) {
  for (const char* plural : {"jobs", "pods"})
    for (const auto& key : server.keysOf(plural)) {
      const json& object = *server.find(plural, key);
      if (ownedBy(object, uid) && !deleting(object)) server.remove("system:gc", plural, key);
    }
}

void World::createPod(const json& owner, const char* kind, const json& podTemplate, const std::string& name) {
  json pod = {{"metadata", podTemplate.value("metadata", json::object())}, {"spec", podTemplate["spec"]}};
  pod["metadata"]["name"] = name;
  pod["metadata"]["namespace"] = owner["metadata"]["namespace"];
  std::string ownerName = owner["metadata"]["name"];
  if (kind == std::string("ReplicaSet")) {
    ownerName += kReplicaSet;
    pod["metadata"]["labels"]["pod-template-hash"] = kReplicaSet + 1;
  }
  pod["metadata"]["ownerReferences"] = json::array({{{"apiVersion", owner["apiVersion"]},
                                                     {"kind", kind},
                                                     {"name", ownerName},
                                                     {"uid", owner["metadata"]["uid"]},
                                                     {"controller", true}}});
  pod["status"] = {{"phase", "Pending"}};
  const std::string key = at(owner, {"metadata", "namespace"}) + "/" + name;
  server.create(kController, "pods", std::move(pod));
  const json* made = server.find("pods", key);
  if (made) {
    const std::string uid = at(*made, {"metadata", "uid"});
    timeline.after(latency(), [this, key, uid] { startPod(key, uid); });
  }
}

void World::syncDeployment(const std::string& key) {
  const json* found = server.find("deployments", key);
  if (!found) return;
  const json deployment = *found;
  const std::string uid = at(deployment, {"metadata", "uid"}), image = imageOf(deployment["spec"]["template"]["spec"]);
  const int want = deployment["spec"].value("replicas", 1);
  std::vector<std::string> old, fresh;
  int readyOnes = 0, readyFresh = 0;
  for (const auto& podKey : server.keysOf("pods")) {
    const json& pod = *server.find("pods", podKey);
    if (!ownedBy(pod, uid) || deleting(pod) || ended(pod)) continue;
    const bool isFresh = imageOf(pod["spec"]) == image;
    (isFresh ? fresh : old).push_back(podKey);
    readyOnes += ready(pod);
    readyFresh += isFresh && ready(pod);
  }
  const int alive = static_cast<int>(old.size() + fresh.size());
  bool more = false;
  if (static_cast<int>(fresh.size()) < want && alive < want + (old.empty() ? 0 : 1)) {
    createPod(deployment, "ReplicaSet", deployment["spec"]["template"],
              at(deployment, {"metadata", "name"}) + "-" + dice.hex(5));
    // Its owner has the name of a ReplicaSet, and the uid of the Deployment: there are no ReplicaSets in this world.
    more = true;
  } else if (alive > want) {
    const bool mayGo = want == 0 || old.empty() || readyFresh > 0 || readyOnes > want;
    if (mayGo) {
      server.remove(kController, "pods", old.empty() ? fresh.back() : old.front());
      more = true;
    }
  }
  server.edit(kController, "deployments", "status", key, [&](json& object) {
    json status = {{"observedGeneration", deployment["metadata"]["generation"]},
                   {"replicas", alive},
                   {"updatedReplicas", static_cast<int>(fresh.size())},
                   {"readyReplicas", readyOnes},
                   {"availableReplicas", readyOnes}};
    object["status"] = status;
  });
  if (more && pending_.insert("deployment " + key).second)
    timeline.after(latency(), [this, key] {
      pending_.erase("deployment " + key);
      syncDeployment(key);
    });
}

void World::addCronJob(const std::string& name) {
  const json containers = json::array({{{"name", "report"}, {"image", "localhost/demo-app:2.0.0"}}});
  const json pod = {{"metadata", {{"labels", {{kCronJobLabel, name}}}}}, {"spec", {{"containers", containers}}}};
  server.create(
      "admin", "cronjobs",
      {{"metadata", {{"name", name}, {"namespace", kNamespace}}},
       {"spec", {{"schedule", "* * * * *"}, {"suspend", false}, {"jobTemplate", {{"spec", {{"template", pod}}}}}}}});
  tickCronJob(std::string(kNamespace) + "/" + name);
}

// A CronJob's controller: one Job at a time (concurrencyPolicy Forbid), the ended ones are removed.
void World::tickCronJob(const std::string& key) {
  timeline.after(Millis(45000) + latency(), [this, key] { tickCronJob(key); });
  const json* found = server.find("cronjobs", key);
  if (!found) return;
  const json cronJob = *found;
  bool runs = false;
  for (const auto& jobKey : server.keysOf("jobs")) {
    const json& job = *server.find("jobs", jobKey);
    if (!ownedBy(job, at(cronJob, {"metadata", "uid"})) || deleting(job)) continue;
    if (jobEnded(job))
      server.remove(kController, "jobs", jobKey);
    else
      runs = true;
  }
  if (!runs && !cronJob["spec"].value("suspend", false)) createRun(key);
}

void World::createRun(const std::string& cronJobKey) {
  const json cronJob = *server.find("cronjobs", cronJobKey);
  json job = {{"metadata",
               {{"name", at(cronJob, {"metadata", "name"}) + "-" + dice.hex(8)},
                {"namespace", cronJob["metadata"]["namespace"]},
                {"ownerReferences", json::array({{{"apiVersion", "batch/v1"},
                                                  {"kind", "CronJob"},
                                                  {"name", cronJob["metadata"]["name"]},
                                                  {"uid", cronJob["metadata"]["uid"]},
                                                  {"controller", true}}})}}},
              {"spec", cronJob["spec"]["jobTemplate"]["spec"]}};
  job["spec"]["backoffLimit"] = 0;
  server.create(kController, "jobs", std::move(job));
}

void World::syncJob(const std::string& key) {
  const json* found = server.find("jobs", key);
  if (!found || deleting(*found)) return;
  const json& job = *found;
  const std::string uid = at(job, {"metadata", "uid"});
  if (jobEnded(job)) return;
  if (job["spec"].value("suspend", false)) return;
  std::vector<std::string> alive;
  std::string result;
  for (const auto& podKey : server.keysOf("pods")) {
    const json& pod = *server.find("pods", podKey);
    if (!ownedBy(pod, uid)) continue;
    if (ended(pod))
      result = result == "Complete" || phaseOf(pod) == "Succeeded" ? "Complete" : "BackoffLimitExceeded";
    else
      alive.push_back(podKey);
  }
  auto& made = podsMade_[uid];
  if (made == 0) {
    const int pods = dice.chance(weather.runTwice) ? 2 : 1;
    const json copy = job;
    const int deadline = job["spec"].value("activeDeadlineSeconds", 0);
    made = pods;
    doubled_ = doubled_ || pods > 1;
    for (int i = 0; i < pods; ++i)
      createPod(copy, "Job", copy["spec"]["template"],
                at(copy, {"metadata", "name"}).substr(0, 57) + "-" + dice.hex(5));
    if (deadline > 0)
      timeline.after(std::chrono::seconds(deadline), [this, key, uid] {
        const json* late = server.find("jobs", key);
        if (!late || at(*late, {"metadata", "uid"}) != uid || jobEnded(*late)) return;
        server.edit(kController, "jobs", "status", key, [&](json& object) {
          object["status"]["failed"] = 1;
          object["status"]["conditions"] =
              json::array({{{"type", "Failed"},
                            {"status", "True"},
                            {"reason", "DeadlineExceeded"},
                            {"message", "Job was active longer than specified deadline"}}});
        });
        for (const auto& podKey : server.keysOf("pods"))
          if (const json& pod = *server.find("pods", podKey); ownedBy(pod, uid) && !ended(pod) && !deleting(pod))
            server.remove(kController, "pods", podKey);
      });
    if (dice.chance(weather.vanish))
      timeline.after(latency() * dice.between(1, 20), [this, key, uid] {
        const json* there = server.find("jobs", key);
        if (!there || at(*there, {"metadata", "uid"}) != uid) return;
        trace("somebody deletes Job " + key);
        server.remove("somebody", "jobs", key);
      });
    return;
  }
  if (!alive.empty() || (result.empty() && made < 0)) return;
  const bool complete = result == "Complete";
  server.edit(kController, "jobs", "status", key, [&](json& object) {
    object["status"][complete ? "succeeded" : "failed"] = 1;
    object["status"]["conditions"] =
        json::array({{{"type", complete ? "Complete" : "Failed"},
                      {"status", "True"},
                      {"reason", complete ? "CompletionsReached" : "BackoffLimitExceeded"},
                      {"message", complete ? "" : "Job has reached the specified backoff limit"}}});
  });
  if (const json* done = server.find("jobs", key); done && (*done)["spec"].contains("ttlSecondsAfterFinished"))
    timeline.after(std::chrono::seconds((*done)["spec"]["ttlSecondsAfterFinished"].get<int>()), [this, key, uid] {
      const json* old = server.find("jobs", key);
      if (old && at(*old, {"metadata", "uid"}) == uid) server.remove(kController, "jobs", key);
    });
}

// --- kubelet --------------------------------------------------------------------------------------------------------

void World::startPod(const std::string& key, const std::string& uid) {
  const json* found = server.find("pods", key);
  if (!found || at(*found, {"metadata", "uid"}) != uid || deleting(*found) || processes.count(uid)) return;
  const json pod = *found;
  const std::string image = imageOf(pod["spec"]), container = at(pod["spec"]["containers"][0], {"name"});
  json status = {{"name", container}, {"image", image}, {"imageID", ""}, {"ready", false}, {"restartCount", 0}};
  if (unpullableImages.count(image)) {
    status["state"] = {{"waiting", {{"reason", "ImagePullBackOff"}, {"message", "Back-off pulling image"}}}};
    server.edit(kKubelet, "pods", "status", key, [&](json& object) {
      object["status"] = {{"phase", "Pending"}, {"containerStatuses", json::array({status})}};
    });
    return;
  }
  Process process;
  process.pod = at(pod, {"metadata", "name"});
  process.podUid = uid;
  process.namespace_ = at(pod, {"metadata", "namespace"});
  process.image = image;
  const auto& owner = pod["metadata"]["ownerReferences"][0];
  const bool mover = !at(pod, {"metadata", "labels", api::kLabelOwnerUid}).empty();
  if (mover) {
    process.task = at(pod, {"metadata", "annotations", api::kAnnotationTask});
    process.ownerUid = at(pod, {"metadata", "labels", api::kLabelOwnerUid});
    process.writes = at(pod, {"metadata", "labels", api::kLabelEffect}) == "write";
    process.go = at(pod, {"metadata", "annotations", api::kAnnotationGo});
    const json task = json::parse(process.task, nullptr, false);
    process.verb = task.is_object() ? task.value("verb", "") : "noop";
    process.database = at(task, {"postgres", "database"});
  } else {
    const std::string cronJob = at(pod, {"metadata", "labels", kCronJobLabel});
    process.workload = cronJob.empty() ? "deployments " + process.namespace_ + "/" + ownerOf(pod)
                                       : "cronjobs " + process.namespace_ + "/" + cronJob;
  }
  processes[uid] = process;
  status["state"] = {{"running", {{"startedAt", formatTime(clock.wall())}}}};
  server.edit(kKubelet, "pods", "status", key, [&](json& object) {
    object["status"] = {{"phase", "Running"},
                        {"containerStatuses", json::array({status})},
                        {"conditions", json::array({{{"type", "Ready"}, {"status", "False"}}})}};
  });
  if (mover) {
    if (dice.chance(weather.forceDelete))
      timeline.after(latency() * dice.between(1, 20), [this, key, uid] {
        const auto there = processes.find(uid);
        if (there == processes.end()) return;
        trace("node lost: pod " + key + " deleted by force, its process works on");
        there->second.orphan = true;
        server.purge("somebody", "pods", key);
      });
    if (dice.chance(weather.evict))
      timeline.after(latency() * dice.between(1, 12), [this, key, uid] {
        if (!processes.count(uid)) return;
        trace("pod " + key + " is evicted");
        endMover(uid, 137, "", "Evicted");
      });
    const Millis start = latency() + Millis(dice.below(weather.stallMillis + 1));
    timeline.after(start, [this, uid] { runMover(uid); });
  } else {
    const bool once = owner["kind"] == "Job";
    timeline.after(latency(), [this, key, uid, once] { once ? runOnce(key, uid) : startApplication(key, uid, 0); });
  }
}

void World::endProcess(const std::string& uid) {
  const auto found = processes.find(uid);
  if (found == processes.end()) return;
  const auto& sessions = found->second.sessions;
  postgres.clients.erase(std::remove_if(postgres.clients.begin(), postgres.clients.end(),
                                        [&](const auto& client) {
                                          return std::find(sessions.begin(), sessions.end(), client.pid) !=
                                                 sessions.end();
                                        }),
                         postgres.clients.end());
  processes.erase(found);
}

void World::stopPod(const std::string& key, const std::string& uid) {
  const json* pod = server.find("pods", key);
  if (!pod || at(*pod, {"metadata", "uid"}) != uid) return;
  endProcess(uid);
  server.purge(kKubelet, "pods", key);
}

// The application connects, migrates what it finds to its own schema, serves, and writes.
void World::startApplication(const std::string& key, const std::string& uid, int tries) {
  const auto found = processes.find(uid);
  const json* pod = server.find("pods", key);
  if (found == processes.end() || !pod || deleting(*pod)) return;
  Process& process = found->second;
  const bool broken = brokenImages.count(process.image) > 0;
  if (broken || !allLiveOpen()) {
    if (broken && tries == 0)
      server.edit(kKubelet, "pods", "status", key, [&](json& object) {
        object["status"]["containerStatuses"][0]["restartCount"] = 4;
        object["status"]["containerStatuses"][0]["state"] = {{"waiting", {{"reason", "CrashLoopBackOff"}}}};
      });
    if (tries < 200)
      timeline.after(Millis(1000) + latency(), [this, key, uid, tries] { startApplication(key, uid, tries + 1); });
    return;
  }
  const std::string version = versionIn(process.image);
  for (const auto oid : liveOids()) {
    process.sessions.push_back(++nextPid_);
    postgres.clients.push_back({nextPid_, oid, "shop", process.pod, false});
    Content& content = contents[oid];
    // A new version migrates and destroys what the old one needs; an old one starts happily on what it does not know.
    if (migrates && version > content.schema) {
      if (content.staged && !imageSetByUser)
        checker.report("U1", "version " + version + " was started on the data of " + content.schema +
                                 " that came back, and migrated it");
      content.schema = version;
    }
  }
  server.edit(kKubelet, "pods", "status", key, [&](json& object) {
    object["status"]["containerStatuses"][0]["ready"] = true;
    object["status"]["containerStatuses"][0]["state"] = {{"running", json::object()}};
    object["status"]["conditions"] =
        json::array({{{"type", "Ready"}, {"status", "True"}, {"lastTransitionTime", formatTime(clock.wall())}}});
  });
  // Every pod writes as long as it is connected: now, and again and again.
  const auto write = [this, uid](auto&& again, int left) -> void {
    const auto self = processes.find(uid);
    if (self == processes.end()) return;
    const auto& sessions = self->second.sessions;
    for (const auto& client : postgres.clients)
      if (std::find(sessions.begin(), sessions.end(), client.pid) != sessions.end())
        ++contents[client.database].acknowledged;
    if (left > 0) timeline.after(Millis(700), [again, left] { again(again, left - 1); });
  };
  write(write, 8);
}

// What a CronJob is there for: it reads and writes for a while, and ends.
void World::runOnce(const std::string& key, const std::string& uid) {
  const auto found = processes.find(uid);
  if (found == processes.end()) return;
  Process& process = found->second;
  const bool works = allLiveOpen();
  for (const auto oid : works ? liveOids() : std::vector<mover::Oid>()) {
    process.sessions.push_back(++nextPid_);
    postgres.clients.push_back({nextPid_, oid, "shop", process.pod, false});
    Content& content = contents[oid];
    ++content.acknowledged;
    if (migrates && content.staged && versionIn(process.image) > content.schema && !imageSetByUser)
      checker.report("U1", "a Job of version " + versionIn(process.image) + " was run on the data of " +
                               content.schema + " that came back");
  }
  const Millis takes = runTakes.count() > 0 ? runTakes : Millis(dice.between(500, 15000));
  timeline.after(works ? takes : Millis(100), [this, key, uid, works] {
    if (!processes.count(uid)) return;
    endProcess(uid);
    server.edit(kKubelet, "pods", "status", key,
                [&](json& object) { object["status"]["phase"] = works ? "Succeeded" : "Failed"; });
  });
}

// --- movers ---------------------------------------------------------------------------------------------------------

void World::endMover(const std::string& uid, int exitCode, const std::string& message, const std::string& reason) {
  const auto found = processes.find(uid);
  if (found == processes.end()) return;
  const std::string key = found->second.namespace_ + "/" + found->second.pod;
  endProcess(uid);
  const json* pod = server.find("pods", key);
  if (!pod || at(*pod, {"metadata", "uid"}) != uid) return;  // deleted by force: nobody hears of it
  // First that the container ended, and the pod a moment later, as a kubelet tells it.
  server.edit(kKubelet, "pods", "status", key, [&](json& object) {
    object["status"]["containerStatuses"][0]["state"] = {
        {"terminated",
         {{"exitCode", exitCode}, {"reason", reason}, {"message", message}, {"finishedAt", formatTime(clock.wall())}}}};
  });
  timeline.after(latency() + Millis(dice.below(1000)), [this, key, uid, exitCode, reason] {
    const json* there = server.find("pods", key);
    if (!there || at(*there, {"metadata", "uid"}) != uid) return;
    server.edit(kKubelet, "pods", "status", key, [&](json& object) {
      object["status"]["phase"] = exitCode == 0 ? "Succeeded" : "Failed";
      if (reason == "Evicted") object["status"]["reason"] = "Evicted";
    });
  });
}

void World::runMover(const std::string& uid) {
  const auto found = processes.find(uid);
  if (found == processes.end()) return;
  Process& process = found->second;
  if (process.verb == "noop") {
    endMover(uid, 0, "", "Completed");
    return;
  }
  if (process.verb == "done" || hanging.count(process.verb)) return;
  json document = json::parse(process.task, nullptr, false);
  mutateTask(document);
  auto task = mover::decodeTask(document.dump());
  mover::Outcome outcome;
  std::string token;
  bool killed = false;
  if (!task) {
    outcome = mover::refused(task.error());
    token = mover::tokenOf(process.task);
  } else {
    token = task->token;
    using Hit = model::Server::Hit;
    if (dice.chance(weather.killInVerb))
      postgres.hitAt(dice.between(1, 14), dice.chance(0.5) ? Hit::KillBefore : Hit::KillAfter);
    else if (dice.chance(weather.serverCrash))
      postgres.hitAt(dice.between(1, 14), dice.chance(0.5)   ? Hit::CrashBefore
                                          : dice.chance(0.5) ? Hit::CrashAfter
                                                             : Hit::LoseAnswer);
    const auto before = liveOids();
    const auto generation = postgres.generation;
    const std::string verbName = task->verb;
    try {
      outcome = verb(*task, document, process);
      afterVerb(verbName);
    } catch (const Parked&) {
      server.logs[process.pod] = "FRB-PROGRESS {\"done\":0,\"total\":0,\"unit\":\"\",\"what\":\"waiting for go\"}\n";
      postgres.hitAt(0, Hit::None);
      return;
    } catch (const model::Killed&) {
      killed = true;
    }
    postgres.hitAt(0, Hit::None);
    if (liveOids() != before) {
      for (const auto& store : stores) trace(store.database + " is now OID " + std::to_string(oidOf(store.database)));
      // A server that died meanwhile has ended every session; the processes have not noticed yet.
      for (const auto& [other, running] : processes)
        if (!running.mover() && !running.sessions.empty() && verbName == "switch" && postgres.generation == generation)
          checker.report("S8", "the data was switched while pod " + running.pod + " was connected");
    }
  }
  trace("mover " + process.pod + " " + process.verb + ": " + (killed ? "killed" : toString(outcome.kind)) +
        (outcome.code.empty() ? "" : " " + outcome.code + " " + outcome.message));
  if (killed) {
    timeline.after(latency(), [this, uid] { endMover(uid, 137, "", "Error"); });
    return;
  }
  const auto report = mover::report(outcome, token, {});
  std::string log;
  for (const auto& line : report.resultLines) log += line + "\n";
  log += report.lastLine() + "\n";
  server.logs[process.pod] = log;
  process.verb = "done";
  // A kubelet looks at its containers once a second; the log is there at once.
  timeline.after(latency() + Millis(dice.below(1000)),
                 [this, uid, message = report.terminationMessage] { endMover(uid, 0, message, "Completed"); });
}

mover::Outcome World::verb(const mover::Task& task, const json& document, Process& process) {
  if (const auto script = scripted.find(task.verb);
      script != scripted.end() && !(task.verb == "switch" && process.go.empty()))
    return script->second;
  static const std::set<std::string> real{"switch", "switchback", "discard", "cleanup"};
  if (!real.count(task.verb)) return semanticVerb(task, document, process.orphan);
  // The true step machines, over the model of a database server.
  model::FakeClock local;
  local.time = clock.time;
  model::FakeDatabase database(postgres);
  model::FakeFiles repository, scratch;
  model::FakeProcess programs;
  model::FakeHttp http;
  model::FakeGo go;
  go.token = process.go;
  model::FakeRandom random;
  model::FakeStop stop;
  bool parks = false;
  VerbWaiter waiter(local, parks);
  VerbProgress progress(parks);
  mover::Environment env{database, repository, scratch,  programs,
                         http,     go,         local,    waiter,
                         random,   stop,       progress, [](std::size_t) { return std::optional<std::string>(); }};
  return mover::runVerb(task, env);
}

json World::schemaOf(const std::string& schema) const {
  return {{"state", "Known"},
          {"count", schema == "1.0.0" ? 1 : 2},
          {"digest", "sha256:schema-" + schema},
          {"structureDigest", "sha256:structure-" + schema}};
}

// inspect, verify, stage, backup and check by what they mean; the true ones need a PostgreSQL to look into.
mover::Outcome World::semanticVerb(const mover::Task& task, const json& document, bool orphan) {
  using mover::succeeded;
  const std::string& database = task.postgres.database;
  const auto live = postgres.databases.find(database);
  const std::string liveSchema = live == postgres.databases.end() ? "" : contents[live->second.oid].schema;
  if (task.verb != "verify" && live == postgres.databases.end())
    return mover::refused(mover::problem(ErrorCode::NotFound, "DatabaseMissing", "there is no database " + database));
  if (task.verb != "verify" && !live->second.open && task.verb != "check" && task.verb != "stage")
    return mover::refused(mover::problem(ErrorCode::Forbidden, "NotAcceptingConnections", database + " is closed"));
  json manifest = {
      {"framework", "shop"},
      {"current_version", "1.0.0"},
      {"manifestVersion", 2},
      {"createdAt", "2026-11-24T02:00:00Z"},
      {"unsettled", false},
      {"images", json::array({{{"component", "main"}, {"image", "localhost/demo-app:1.0.0"}, {"imageID", ""}}})},
      {"stores", json::array()}};
  for (const auto& store : stores)
    manifest["stores"].push_back({{"name", store.name},
                                  {"schema", schemaOf("1.0.0")},
                                  {"tables", json::array({{{"name", "public.orders"}, {"rows", 100}}})}});
  if (task.verb == "inspect") {
    json result = {
        {"server", {{"version", "15.18"}, {"versionNum", 150018}, {"systemIdentifier", "7000"}}},
        {"tools", {{"version", "15.18"}, {"versionNum", 150018}}},
        {"live",
         {{"name", database},
          {"oid", live->second.oid},
          {"owner", "shop"},
          {"allowConnections", live->second.open},
          {"sizeBytes", 1000},
          {"schema", schemaOf(liveSchema)},
          {"tables", json::array({{{"name", "public.orders"}, {"rows", 120}}})}}},
        {"databases", json::array()},
        {"role", {{"name", "shop"}, {"superuser", false}, {"createdb", true}, {"ownsLive", true}, {"canRename", true}}},
        {"space", {{"known", true}, {"required", 1000}, {"available", 100000}}},
        {"blockers", json::array()},
        {"sessions", json::array()},
        {"keys", json::array()}};
    for (const auto& [name, base] : postgres.databases)
      if (name != database && name != "postgres")
        result["databases"].push_back({{"name", name}, {"oid", base.oid}, {"allowConnections", base.open}});
    for (const auto& [code, message] : blockers) result["blockers"].push_back({{"code", code}, {"message", message}});
    if (document.contains("repository")) {
      const bool same = liveSchema == "1.0.0";
      result["backup"] = {{"found", true},
                          {"complete", true},
                          {"digest", "sha256:backup"},
                          {"sizeBytes", 500},
                          {"manifest", manifest},
                          {"schemaRelation", same ? "Equal" : "Different"},
                          {"missing", same ? json::array() : json::array({"drop_note"})}};
    }
    return succeeded(result.dump());
  }
  if (task.verb == "verify")
    return succeeded(json{{"digest", "sha256:backup"}, {"files", 3}, {"bytes", 500}, {"manifest", manifest}}.dump());
  if (task.verb == "stage") {
    const std::string& name = task.names.stage;
    if (live->second.oid != task.expect.liveOid)
      return mover::refused(mover::problem(ErrorCode::Conflict, "WrongDatabase", "live was replaced"));
    if (postgres.databases.count(name))
      return mover::refused(mover::problem(ErrorCode::AlreadyExists, "StageExists", "somebody restored into it"));
    const int mine = mover::stageAttempt(name, database, task.id);
    for (const auto& [other, base] : postgres.databases)
      if (other == mover::revertedName(database, task.id) || mover::stageAttempt(other, database, task.id) > mine)
        return mover::refused(mover::problem(ErrorCode::Conflict, "Superseded", "others went on without it"));
    if (orphan) madeByOrphans.insert(name);
    // A new attempt drops the shadows of earlier ones.
    for (auto it = postgres.databases.begin(); it != postgres.databases.end();)
      it = it->first.rfind(database + "_stage_" + task.id + "_", 0) == 0 ? postgres.databases.erase(it) : std::next(it);
    const mover::Oid oid = ++nextOid_;
    postgres.databases[name] = {oid, false, ""};
    contents[oid] = {"1.0.0", 0, true};
    ++restores[name];
    return succeeded(json{
        {"stageOid", oid},
        {"liveOid", live->second.oid},
        {"systemIdentifier", "7000"},
        {"rows", 100},
        {"bytes", 1000},
        {"seconds", 1}}.dump());
  }
  if (task.verb == "backup")
    return succeeded(json{{"path", task.repositoryPath},
                          {"digest", "sha256:backup"},
                          {"sizeBytes", 500},
                          {"schema", schemaOf(liveSchema)},
                          {"unsettled", false},
                          {"snapshotAt", formatTime(clock.wall())}}
                         .dump());
  if (task.verb == "check") {
    json seen = json::array();
    for (const std::string& name : {database, task.names.prev})
      if (const auto found = postgres.databases.find(name); found != postgres.databases.end())
        seen.push_back({{"name", name}, {"oid", found->second.oid}, {"allowConnections", found->second.open}});
    return succeeded(json{{"databases", seen},
                          {"health", json::array({{{"name", "main/ready"},
                                                   {"ok", healthy},
                                                   {"status", healthy ? 200 : 500},
                                                   {"message", healthy ? "200" : "500"}}})},
                          {"schema", schemaOf(liveSchema)},
                          {"invariants", json::array({{{"name", "orders"}, {"value", "100"}, {"ok", true}}})}}
                         .dump());
  }
  return mover::refused(mover::problem(ErrorCode::BadInput, "UnknownVerb", task.verb));
}

}  // namespace rollback::sim
