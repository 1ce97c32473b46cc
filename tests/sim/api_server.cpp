#include "sim/api_server.h"

#include <algorithm>
#include <array>

namespace rollback::sim {
namespace {

const std::array<Kind, 18> kKinds{{
    {"rollback.pa-ecosystem.io", "v1alpha1", "frameworkclasses", "FrameworkClass", false},
    {"rollback.pa-ecosystem.io", "v1alpha1", "frameworks", "Framework", true},
    {"rollback.pa-ecosystem.io", "v1alpha1", "backuprepositories", "BackupRepository", true},
    {"rollback.pa-ecosystem.io", "v1alpha1", "frameworkbackups", "FrameworkBackup", true},
    {"rollback.pa-ecosystem.io", "v1alpha1", "frameworkrollbacks", "FrameworkRollback", true},
    {"apps", "v1", "deployments", "Deployment", true},
    {"apps", "v1", "statefulsets", "StatefulSet", true},
    {"batch", "v1", "jobs", "Job", true},
    {"batch", "v1", "cronjobs", "CronJob", true},
    {"", "v1", "pods", "Pod", true},
    {"", "v1", "configmaps", "ConfigMap", false},
    {"", "v1", "namespaces", "Namespace", true},
    {"", "v1", "services", "Service", true},
    {"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true},
    {"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true},
    {"coordination.k8s.io", "v1", "leases", "Lease", false},
    {"events.k8s.io", "v1", "events", "Event", false},
    {"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false},
}};

std::string decoded(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

http::Response answer(int status, std::string body) {
  return http::Response{status, {{"content-type", "application/json"}}, std::move(body)};
}

http::Response failure(int code, const char* reason, const std::string& message) {
  return answer(code, json{{"kind", "Status"},
                           {"apiVersion", "v1"},
                           {"metadata", json::object()},
                           {"status", "Failure"},
                           {"message", message},
                           {"reason", reason},
                           {"code", code}}
                          .dump());
}

// Lists of a strategic merge patch are merged by these keys (k8s.io/api patchMergeKey).
const char* mergeKey(const std::string& member) {
  if (member == "containers" || member == "initContainers" || member == "env" || member == "volumes") return "name";
  if (member == "conditions") return "type";
  if (member == "ownerReferences") return "uid";
  return nullptr;
}

void strategicMerge(json& target, const json& patch) {
  for (const auto& [member, value] : patch.items()) {
    if (value.is_null()) {
      target.erase(member);
    } else if (value.is_object()) {
      if (!target.contains(member) || !target[member].is_object()) target[member] = json::object();
      strategicMerge(target[member], value);
    } else if (const char* key = value.is_array() ? mergeKey(member) : nullptr; key && target.contains(member)) {
      for (const auto& item : value) {
        auto& list = target[member];
        const auto found = std::find_if(list.begin(), list.end(), [&](const json& each) {
          return each.contains(key) && item.contains(key) && each[key] == item[key];
        });
        if (found == list.end())
          list.push_back(item);
        else
          strategicMerge(*found, item);
      }
    } else {
      target[member] = value;
    }
  }
}

std::string text(const json& from, const char* member) {
  const auto found = from.is_object() ? from.find(member) : from.end();
  return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string keyOf(const json& object) {
  const auto& meta = object.at("metadata");
  const std::string ns = text(meta, "namespace");
  return ns.empty() ? text(meta, "name") : ns + "/" + text(meta, "name");
}

json scaleOf(const json& workload) {
  json scale = {{"apiVersion", "autoscaling/v1"},
                {"kind", "Scale"},
                {"metadata",
                 {{"name", workload["metadata"]["name"]},
                  {"namespace", workload["metadata"]["namespace"]},
                  {"uid", workload["metadata"]["uid"]},
                  {"resourceVersion", workload["metadata"]["resourceVersion"]}}},
                {"spec", {{"replicas", workload["spec"].value("replicas", 1)}}},
                {"status", {{"replicas", 0}}}};
  if (workload.contains("status")) scale["status"]["replicas"] = workload["status"].value("replicas", 0);
  return scale;
}

// What CEL keeps of a FrameworkRollback's spec (crds/frameworkrollbacks.yaml).
std::string frozen(const json& rollback) {
  json spec = rollback.value("spec", json::object());
  for (const char* changing : {"suspend", "abort", "approval"}) spec.erase(changing);
  return spec.dump();
}

}  // namespace

const Kind* kindOf(const std::string& plural) {
  for (const auto& kind : kKinds)
    if (kind.plural == plural) return &kind;
  return nullptr;
}

struct ApiServer::Call {
  std::string method, contentType, user, as;
  const Kind* kind = nullptr;
  std::string namespace_, name, subresource;
  std::map<std::string, std::string> query;
  json body;
  const char* verb = "";
  std::string key() const {
    return namespace_.empty() || kind->plural == "namespaces" ? name : namespace_ + "/" + name;
  }
  std::string what() const { return kind->plural + " \"" + name + "\""; }
};

// Of Jobs and pods without what no reader of ours looks at, the pod template: it is nine tenths of their bytes, and of
// a run's time.
const std::string& ApiServer::textOf(Entry& entry) {
  if (!entry.text.empty()) return entry.text;
  const std::string kind = entry.object["kind"];
  if (kind != "Job" && kind != "Pod") return entry.text = entry.object.dump();
  json view = {{"apiVersion", entry.object["apiVersion"]}, {"kind", kind}, {"metadata", entry.object["metadata"]}};
  if (kind == "Job") {
    view["spec"] = json::object();
    if (entry.object["spec"].contains("suspend")) view["spec"]["suspend"] = entry.object["spec"]["suspend"];
  } else if (view["metadata"].contains("annotations")) {
    view["metadata"]["annotations"].erase("rollback.pa-ecosystem.io/task");
  }
  if (entry.object.contains("status")) view["status"] = entry.object["status"];
  return entry.text = view.dump();
}

http::Response ApiServer::handle(const http::Request& request, const std::string& user) {
  Call call;
  call.method = request.method;
  call.user = user;
  for (const auto& [name, value] : request.headers) {
    if (name == "Impersonate-User") call.as = value;
    if (name == "Content-Type") call.contentType = value;
  }
  const auto question = request.target.find('?');
  std::vector<std::string> segments;
  for (std::size_t at = 1, end; at < std::min(question, request.target.size()); at = end + 1) {
    end = std::min(request.target.find('/', at), std::min(question, request.target.size()));
    segments.push_back(decoded(request.target.substr(at, end - at)));
  }
  if (question != std::string::npos)
    for (std::size_t at = question + 1, end; at < request.target.size(); at = end + 1) {
      end = std::min(request.target.find('&', at), request.target.size());
      const std::string pair = request.target.substr(at, end - at);
      const auto equals = pair.find('=');
      call.query[decoded(pair.substr(0, equals))] = equals == std::string::npos ? "" : decoded(pair.substr(equals + 1));
    }
  std::size_t at = !segments.empty() && segments[0] == "api" ? 2 : 3;
  if (segments.size() > at + 2 && segments[at] == "namespaces" && kindOf(segments[at + 2])) {
    call.namespace_ = segments[at + 1];
    at += 2;
  }
  if (segments.size() <= at || !(call.kind = kindOf(segments[at])))
    return failure(404, "NotFound", "the server could not find the requested resource");
  if (segments.size() > at + 1) call.name = segments[at + 1];
  if (segments.size() > at + 2) call.subresource = segments[at + 2];
  if (!request.body.empty()) {
    call.body = json::parse(request.body, nullptr, false);
    if (call.body.is_discarded()) return failure(400, "BadRequest", "the body is not JSON");
  }
  // The runner may what its namespace bound it to, and nothing elsewhere.
  if (!call.as.empty() && call.kind->plural != "selfsubjectaccessreviews" && !optedIn.count(call.namespace_))
    return failure(403, "Forbidden", call.what() + " is forbidden: User \"" + call.as + "\" cannot do that");
  if (call.method == "GET") {
    ++reads;
    return call.name.empty() ? list(call) : get(call);
  }
  ++writes;
  if (call.method == "POST") return call.verb = "create", post(call);
  if (call.method == "PUT") return call.verb = "update", put(call);
  if (call.method == "PATCH") return call.verb = "patch", patch(call);
  if (call.method == "DELETE") return call.verb = "delete", del(call);
  return failure(405, "MethodNotAllowed", call.method);
}

void ApiServer::record(const Call& call, const json* response) {
  rules::Record record;
  record.at = clock_.wall();
  record.user = call.user;
  record.impersonated = call.as;
  record.verb = call.verb;
  record.group = call.kind->group;
  record.resource = call.kind->plural;
  record.subresource = call.subresource;
  record.namespace_ = call.namespace_;
  record.name = call.name;
  record.request = call.body.is_null() ? nullptr : &call.body;
  record.response = response;
  onRecord(record);
}

http::Response ApiServer::get(const Call& call) {
  if (call.kind->plural == "pods" && call.subresource == "log") {
    if (!find("pods", call.key())) return failure(404, "NotFound", call.what() + " not found");
    const auto log = logs.find(call.name);
    return http::Response{200, {{"content-type", "text/plain"}}, log == logs.end() ? "" : log->second};
  }
  auto& objects = stores_[call.kind->plural];
  const auto found = objects.find(call.key());
  if (found == objects.end()) return failure(404, "NotFound", call.what() + " not found");
  return answer(200, textOf(found->second));
}

http::Response ApiServer::list(const Call& call) {
  std::vector<std::pair<std::string, std::string>> wanted;
  if (const auto selector = call.query.find("labelSelector"); selector != call.query.end())
    for (std::size_t at = 0, end; at < selector->second.size(); at = end + 1) {
      end = std::min(selector->second.find(',', at), selector->second.size());
      const std::string term = selector->second.substr(at, end - at);
      const auto equals = term.find('=');  // without: whatever its value
      wanted.emplace_back(term.substr(0, equals), equals == std::string::npos ? "" : term.substr(equals + 1));
    }
  // A page goes on after a name; its token is good while the version it names is not too old.
  std::string from;
  std::size_t limit = SIZE_MAX;
  if (const auto asked = call.query.find("limit"); asked != call.query.end()) limit = std::stoul(asked->second);
  if (const auto token = call.query.find("continue"); token != call.query.end()) {
    const auto colon = token->second.find(':');
    if (version_ - std::stol(token->second.substr(0, colon)) > 1000)
      return failure(410, "Expired", "the provided continue parameter is too old");
    from = token->second.substr(colon + 1);
  }
  std::string body = "{\"kind\":\"" + call.kind->kind + "List\",\"apiVersion\":\"" +
                     (call.kind->group.empty() ? "" : call.kind->group + "/") + call.kind->version + "\",\"items\":[";
  std::size_t count = 0;
  std::string last, next;
  const std::string prefix = call.namespace_.empty() ? "" : call.namespace_ + "/";
  auto& objects = stores_[call.kind->plural];
  for (auto it = objects.lower_bound(std::max(from, prefix)); it != objects.end(); ++it) {
    if (it->first.compare(0, prefix.size(), prefix) != 0) break;
    if (!from.empty() && it->first <= from) continue;
    const json* labels = nullptr;
    if (const auto meta = it->second.object.find("metadata"); meta->contains("labels")) labels = &(*meta)["labels"];
    const bool matches = std::all_of(wanted.begin(), wanted.end(), [&](const auto& term) {
      if (!labels) return false;
      return term.second.empty() ? labels->contains(term.first) : text(*labels, term.first.c_str()) == term.second;
    });
    if (!matches) continue;
    if (count == limit) {
      next = std::to_string(version_) + ":" + last;
      break;
    }
    if (count++) body += ',';
    body += textOf(it->second);
    last = it->first;
  }
  body += "],\"metadata\":{\"resourceVersion\":\"" + std::to_string(version_) + "\"" +
          (next.empty() ? "" : ",\"continue\":\"" + next + "\"") + "}}";
  return answer(200, std::move(body));
}

json ApiServer::born(const Kind& kind, json object) {
  auto& meta = object["metadata"];
  object["apiVersion"] = kind.group.empty() ? kind.version : kind.group + "/" + kind.version;
  object["kind"] = kind.kind;
  if (text(meta, "uid").empty())
    meta["uid"] = dice_.hex(8) + "-" + dice_.hex(4) + "-4" + dice_.hex(3) + "-a" + dice_.hex(3) + "-" + dice_.hex(12);
  meta["creationTimestamp"] = formatTime(clock_.wall());
  meta["generation"] = 1;
  bump(object);
  if (kind.plural == "jobs") {
    auto& labels = object["spec"]["template"]["metadata"]["labels"];
    labels["batch.kubernetes.io/job-name"] = meta["name"];
    labels["batch.kubernetes.io/controller-uid"] = meta["uid"];
  }
  return object;
}

http::Response ApiServer::post(const Call& given) {
  Call call = given;
  if (call.kind->plural == "selfsubjectaccessreviews") {
    const std::string ns = call.body.value("/spec/resourceAttributes/namespace"_json_pointer, std::string());
    json review = call.body;
    review["status"] = {{"allowed", optedIn.count(ns) > 0}};
    return answer(201, review.dump());
  }
  if (!call.body.is_object() || !call.body.contains("metadata")) return failure(400, "BadRequest", "no metadata");
  call.name = text(call.body["metadata"], "name");
  auto& objects = stores_[call.kind->plural];
  if (objects.count(call.key())) return failure(409, "AlreadyExists", call.what() + " already exists");
  json object = call.body;
  if (!call.namespace_.empty()) object["metadata"]["namespace"] = call.namespace_;
  if (call.kind->statusSubresource) object.erase("status");
  object["metadata"].erase("uid");
  auto& entry = objects[call.key()];
  entry.object = born(*call.kind, std::move(object));
  record(call, &entry.object);
  const std::string body = textOf(entry);
  onChange(call.kind->plural, entry.object, false);
  return answer(201, body);
}

// Stores what an object is to be, as apiserver/pkg/registry/rest does: nothing changed, nothing written; a new
// generation with a new spec; the last finalizer of a deleted one gone, the object is.
http::Response ApiServer::store(const Call& call, Entry& entry, json next) {
  const bool scale = call.subresource == "scale";
  if (next == entry.object) {
    if (scale) {
      const json view = scaleOf(entry.object);
      record(call, &view);
      return answer(200, view.dump());
    }
    record(call, &entry.object);
    return answer(200, textOf(entry));
  }
  const auto specBefore = entry.object.find("spec"), spec = next.find("spec");
  const bool had = specBefore != entry.object.end(), has = spec != next.end();
  if (had != has || (had && *specBefore != *spec))
    next["metadata"]["generation"] = entry.object["metadata"].value("generation", 1) + 1;
  bump(next);
  entry.object = std::move(next);
  entry.text.clear();
  if (scale) {
    const json view = scaleOf(entry.object);
    record(call, &view);
    const std::string body = view.dump();
    onChange(call.kind->plural, entry.object, false);
    return answer(200, body);
  }
  record(call, &entry.object);
  const std::string body = textOf(entry);
  if (!gone(call.kind->plural, call.key())) onChange(call.kind->plural, entry.object, false);
  return answer(200, body);
}

bool ApiServer::gone(const std::string& plural, const std::string& key) {
  auto& objects = stores_[plural];
  const auto found = objects.find(key);
  if (found == objects.end()) return true;
  const auto& meta = found->second.object["metadata"];
  const bool held = meta.contains("finalizers") && !meta["finalizers"].empty();
  if (!meta.contains("deletionTimestamp") || held || plural == "pods") return false;
  const json object = std::move(found->second.object);
  objects.erase(found);
  onChange(plural, object, true);
  return true;
}

http::Response ApiServer::put(const Call& call) {
  auto& objects = stores_[call.kind->plural];
  const auto found = objects.find(call.key());
  if (found == objects.end()) return failure(404, "NotFound", call.what() + " not found");
  const json& before = found->second.object;
  if (!call.body.is_object() || !call.body.contains("metadata")) return failure(400, "BadRequest", "no object");
  const json& meta = call.body["metadata"];
  const std::string version = text(meta, "resourceVersion"), uid = text(meta, "uid");
  if ((!version.empty() && version != before["metadata"]["resourceVersion"]) ||
      (!uid.empty() && uid != before["metadata"]["uid"]))
    return failure(409, "Conflict", "the object has been modified; please apply your changes to the latest version");
  json next = before;
  if (call.subresource == "status") {
    if (call.body.contains("status"))
      next["status"] = call.body["status"];
    else
      next.erase("status");
  } else {
    next["spec"] = call.body.value("spec", json::object());
    if (call.kind->plural == "leases" || call.kind->plural == "configmaps") {
      next = call.body;
      for (const char* kept : {"uid", "creationTimestamp", "generation", "resourceVersion", "name", "namespace"})
        if (before["metadata"].contains(kept)) next["metadata"][kept] = before["metadata"][kept];
    }
  }
  return store(call, found->second, std::move(next));
}

http::Response ApiServer::patch(const Call& call) {
  auto& objects = stores_[call.kind->plural];
  const auto found = objects.find(call.key());
  if (found == objects.end()) return failure(404, "NotFound", call.what() + " not found");
  const json& before = found->second.object;
  const bool scale = call.subresource == "scale";
  json target = scale ? scaleOf(before) : before;
  if (call.contentType == "application/json-patch+json") {
    try {
      target = target.patch(call.body);
    } catch (const json::exception& error) {  // a test that fails, a path that is not there
      return failure(422, "Invalid", std::string("the server rejected our request: ") + error.what());
    }
  } else if (call.contentType == "application/strategic-merge-patch+json") {
    strategicMerge(target, call.body);
  } else {
    target.merge_patch(call.body);
  }
  // A patch that names a version or uid is aimed (apiserver/pkg/endpoints/handlers/patch.go).
  if (target["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] ||
      target["metadata"]["uid"] != before["metadata"]["uid"])
    return failure(409, "Conflict", "the object has been modified; please apply your changes to the latest version");
  json next = std::move(target);
  if (scale) {
    const int replicas = next["spec"].value("replicas", 0);
    next = before;
    next["spec"]["replicas"] = replicas;
  } else if (call.kind->statusSubresource && call.subresource.empty() && before.contains("status")) {
    next["status"] = before["status"];
  }
  if (call.kind->plural == "frameworkrollbacks" && frozen(next) != frozen(before))
    return failure(422, "Invalid", "spec is immutable");
  return store(call, found->second, std::move(next));
}

http::Response ApiServer::del(const Call& call) {
  auto& objects = stores_[call.kind->plural];
  const auto found = objects.find(call.key());
  if (found == objects.end()) return failure(404, "NotFound", call.what() + " not found");
  const json& meta = found->second.object["metadata"];
  if (call.body.is_object() && call.body.contains("preconditions")) {
    const json& wanted = call.body["preconditions"];
    for (const char* each : {"uid", "resourceVersion"})
      if (!text(wanted, each).empty() && text(wanted, each) != text(meta, each))
        return failure(409, "Conflict", std::string("Precondition failed: ") + each);
  }
  const bool held = (meta.contains("finalizers") && !meta["finalizers"].empty()) || call.kind->plural == "pods";
  if (!held) {
    const json object = std::move(found->second.object);
    objects.erase(found);
    record(call, nullptr);
    onChange(call.kind->plural, object, true);
    return answer(200, R"({"kind":"Status","apiVersion":"v1","status":"Success"})");
  }
  json next = found->second.object;
  if (!meta.contains("deletionTimestamp")) next["metadata"]["deletionTimestamp"] = formatTime(clock_.wall());
  return store(call, found->second, std::move(next));
}

const json* ApiServer::find(const std::string& plural, const std::string& key) const {
  const auto store = stores_.find(plural);
  if (store == stores_.end()) return nullptr;
  const auto found = store->second.find(key);
  return found == store->second.end() ? nullptr : &found->second.object;
}

std::vector<std::string> ApiServer::keysOf(const std::string& plural) const {
  std::vector<std::string> out;
  if (const auto store = stores_.find(plural); store != stores_.end())
    for (const auto& [key, entry] : store->second) out.push_back(key);
  return out;
}

namespace {
void splitKey(const std::string& key, std::string& ns, std::string& name) {
  const auto slash = key.find('/');
  ns = slash == std::string::npos ? "" : key.substr(0, slash);
  name = slash == std::string::npos ? key : key.substr(slash + 1);
}
}  // namespace

bool ApiServer::edit(const std::string& user, const std::string& plural, const std::string& subresource,
                     const std::string& key, const std::function<void(json&)>& change) {
  auto& objects = stores_[plural];
  const auto found = objects.find(key);
  if (found == objects.end()) return false;
  json next = found->second.object;
  change(next);
  if (next == found->second.object) return true;
  Call call;
  call.user = user;
  call.verb = "update";
  call.kind = kindOf(plural);
  call.subresource = subresource;
  splitKey(key, call.namespace_, call.name);
  store(call, found->second, std::move(next));
  return true;
}

void ApiServer::create(const std::string& user, const std::string& plural, json object) {
  Call call;
  call.user = user;
  call.verb = "create";
  call.kind = kindOf(plural);
  const std::string key = keyOf(object);
  splitKey(key, call.namespace_, call.name);
  if (stores_[plural].count(key)) return;
  auto& entry = stores_[plural][key];
  entry.object = born(*call.kind, std::move(object));
  record(call, &entry.object);
  onChange(plural, entry.object, false);
}

void ApiServer::remove(const std::string& user, const std::string& plural, const std::string& key) {
  Call call;
  call.user = user;
  call.verb = "delete";
  call.kind = kindOf(plural);
  splitKey(key, call.namespace_, call.name);
  del(call);
}

void ApiServer::purge(const std::string& user, const std::string& plural, const std::string& key) {
  auto& objects = stores_[plural];
  const auto found = objects.find(key);
  if (found == objects.end()) return;
  Call call;
  call.user = user;
  call.verb = "delete";
  call.kind = kindOf(plural);
  splitKey(key, call.namespace_, call.name);
  const json object = std::move(found->second.object);
  objects.erase(found);
  record(call, nullptr);
  onChange(plural, object, true);
}

}  // namespace rollback::sim
