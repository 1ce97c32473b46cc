#include <nlohmann/json.hpp>

#include "access.h"
#include "files.h"
#include "kube/client/yaml.h"
#include "pem.h"

namespace rollback::kube {

namespace {

using nlohmann::json;

constexpr const char* kExecGroup = "client.authentication.k8s.io/";

// One entry of clusters, contexts or users with the file that won it.
struct Entry {
  json body = json::object();
  std::string file;
};

struct Merged {
  std::map<std::string, Entry> clusters, contexts, users;
  std::string currentContext;
  std::string files;  // those that were read, for messages
};

std::string quote(const std::string& name) { return "\"" + name + "\""; }

Error bad(const std::string& where, const std::string& what) {
  return Error{ErrorCode::BadInput, "reading the kubeconfig, " + where + ": " + what};
}

// Reads members of one entry; the first fault is kept. Absent and null are defaults.
class Members {
 public:
  Members(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const json* find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string string(const char* name) {
    const json* value = find(name);
    if (value == nullptr) return {};
    if (value->is_string()) return value->get<std::string>();
    // `user: 1` and `name: no` are the texts "1" and "false" to kubectl, as long as a text is wanted.
    if (value->is_number_integer() || value->is_boolean()) return value->dump();
    refuse(std::string(name) + " is not a string (quote it)");
    return {};
  }
  bool boolean(const char* name) {
    const json* value = find(name);
    if (value == nullptr) return false;
    if (value->is_boolean()) return value->get<bool>();
    refuse(std::string(name) + " is neither true nor false");
    return false;
  }
  // base64 in `name`-data wins over a file in `name`, as in client-go.
  PemSource pem(const char* name, const std::string& file) {
    PemSource source;
    const std::string data = string((std::string(name) + "-data").c_str());
    if (data.empty()) {
      source.file = resolve(string(name), file);
    } else if (auto text = decodeBase64(data); text && !text->empty()) {
      source.text = std::move(*text);
    } else {
      refuse(std::string(name) + "-data is not base64");
    }
    return source;
  }
  void unsupported(const char* name, const std::string& instead) {
    const json* value = find(name);
    const bool set = value != nullptr && !(value->is_string() && value->get_ref<const std::string&>().empty()) &&
                     !(value->is_structured() && value->empty());
    if (set) refuse(std::string(name) + " is not supported; " + instead);
  }
  void refuse(const std::string& what) {
    if (!fault_) fault_ = bad(where_, what);
  }
  const std::optional<Error>& fault() const { return fault_; }

  // A relative path is relative to the directory of the file it stands in.
  static std::string resolve(const std::string& path, const std::string& file) {
    if (path.empty() || path.front() == '/') return path;
    const std::size_t slash = file.rfind('/');
    return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
  }

 private:
  const json& object_;
  std::string where_;
  std::optional<Error> fault_;
};

// The named entries of one file into the merged ones; who was there first stays. `body` is the member that holds the
// entry.
Result<void> mergeEntries(const json& document, const char* list, const char* body, const std::string& file,
                          std::map<std::string, Entry>& into) {
  const auto entries = document.find(list);
  if (entries == document.end() || entries->is_null()) return {};
  if (!entries->is_array()) return bad(file, std::string(list) + " is not a list");
  std::map<std::string, Entry> mine;
  for (const json& each : *entries) {
    Members members(each, file);
    const std::string name = members.string("name");
    if (name.empty()) return bad(file, std::string("an entry of ") + list + " has no name");
    Entry entry{each.value(body, json::object()), file};
    if (entry.body.is_null()) entry.body = json::object();
    if (!entry.body.is_object()) return bad(file, std::string(body) + " of " + quote(name) + " is not a mapping");
    if (!mine.emplace(name, std::move(entry)).second) {
      return bad(file, std::string(list) + " names " + quote(name) + " twice");
    }
  }
  into.merge(mine);
  return {};
}

Result<void> mergeFile(const std::string& path, const std::string& text, Merged& into) {
  const auto asJson = yamlToJson(text);
  if (!asJson) return bad(path, asJson.error().message);
  const json document = json::parse(*asJson, nullptr, /*allow_exceptions=*/false);
  if (document.is_null()) return {};  // an empty file is an empty configuration
  if (!document.is_object()) return bad(path, "it is not a mapping");
  Members members(document, path);
  const std::string kind = members.string("kind"), version = members.string("apiVersion");
  if ((!kind.empty() && kind != "Config") || (!version.empty() && version != "v1")) {
    return bad(path, "it is " + version + " " + kind + " instead of v1 Config");
  }
  for (const auto& [list, body, entries] :
       {std::make_tuple("clusters", "cluster", &into.clusters), std::make_tuple("contexts", "context", &into.contexts),
        std::make_tuple("users", "user", &into.users)}) {
    if (auto merged = mergeEntries(document, list, body, path, *entries); !merged) return merged;
  }
  if (into.currentContext.empty()) into.currentContext = members.string("current-context");
  if (members.fault()) return *members.fault();
  return {};
}

Result<Merged> readFiles(const std::vector<std::string>& paths, bool optional) {
  Merged merged;
  std::string missing;
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    const auto text = readFile(path);
    if (!text && optional && text.error().code == ErrorCode::NotFound) {
      missing += (missing.empty() ? "" : ", ") + path;
      continue;
    }
    if (!text) return text.error();
    if (auto read = mergeFile(path, *text, merged); !read) return read.error();
    merged.files += (merged.files.empty() ? "" : ", ") + path;
  }
  if (!merged.files.empty()) return merged;
  return Error{ErrorCode::NotFound,
               "looking for a kubeconfig: there is no file at " + (missing.empty() ? "\"\"" : missing)};
}

std::string names(const std::map<std::string, Entry>& entries) {
  std::string out;
  for (const auto& each : entries) {
    if (out.size() > 500) return out + ", …";
    out += (out.empty() ? "" : ", ") + quote(each.first);
  }
  return out.empty() ? "none" : out;
}

Result<void> readCluster(const Entry& entry, const std::string& name, Access& access, std::string& extension) {
  Members cluster(entry.body, "cluster " + quote(name) + " of " + entry.file);
  access.server = cluster.string("server");
  access.ca = cluster.pem("certificate-authority", entry.file);
  access.insecureSkipVerify = cluster.boolean("insecure-skip-tls-verify");
  access.tlsServerName = cluster.string("tls-server-name");
  cluster.unsupported("proxy-url", "reach the server without a proxy, or through a port-forward of your own");
  if (access.insecureSkipVerify && !access.ca.empty()) {
    cluster.refuse("insecure-skip-tls-verify and certificate-authority exclude each other; remove one");
  }
  if (const json* extensions = cluster.find("extensions"); extensions != nullptr && extensions->is_array()) {
    for (const json& each : *extensions) {
      const bool forPlugins = each.is_object() && each.value("name", json()) == std::string(kExecGroup) + "exec";
      if (forPlugins) extension = each.value("extension", json()).dump();
    }
  }
  if (cluster.fault()) return *cluster.fault();
  return {};
}

Result<ExecPluginConfig> readExec(const json& body, const std::string& where, const std::string& file) {
  Members exec(body, where);
  ExecPluginConfig config;
  config.apiVersion = exec.string("apiVersion");
  config.installHint = exec.string("installHint");
  config.provideClusterInfo = exec.boolean("provideClusterInfo");
  const bool v1 = config.apiVersion == std::string(kExecGroup) + "v1";
  if (!v1 && config.apiVersion != std::string(kExecGroup) + "v1beta1") {
    exec.refuse("exec.apiVersion " + quote(config.apiVersion) + " is not supported; use " + kExecGroup + "v1");
  }
  const std::string mode = exec.string("interactiveMode");
  if (mode == "Always")
    exec.refuse("the exec plugin needs a terminal (interactiveMode: Always), and there is none here");
  if (mode.empty() && v1) exec.refuse("exec.interactiveMode is required in v1: Never, IfAvailable or Always");
  if (!mode.empty() && mode != "Always" && mode != "Never" && mode != "IfAvailable") {
    exec.refuse("exec.interactiveMode " + quote(mode) + " is none of Never, IfAvailable, Always");
  }
  const std::string command = exec.string("command");
  if (command.empty()) exec.refuse("exec.command is missing");
  // Without a slash it is looked up on PATH; with one it is a path like the others in the file.
  config.argv.push_back(command.find('/') == std::string::npos ? command : Members::resolve(command, file));
  for (const char* list : {"args", "env"}) {
    const json* value = exec.find(list);
    if (value != nullptr && !value->is_array()) exec.refuse(std::string("exec.") + list + " is not a list");
  }
  if (exec.fault()) return *exec.fault();
  if (const json* args = exec.find("args")) {
    for (const json& each : *args) {
      if (!each.is_string()) exec.refuse("exec.args holds something that is not a string (quote it)");
      config.argv.push_back(each.is_string() ? each.get<std::string>() : "");
    }
  }
  if (const json* variables = exec.find("env")) {
    for (const json& each : *variables) {
      Members variable(each, where + ", exec.env");
      config.environment.emplace_back(variable.string("name"), variable.string("value"));
      if (variable.fault()) return *variable.fault();
      if (config.environment.back().first.empty()) exec.refuse("an entry of exec.env has no name");
    }
  }
  if (exec.fault()) return *exec.fault();
  return config;
}

Result<void> readUser(const Entry& entry, const std::string& name, Access& access) {
  const std::string where = "user " + quote(name) + " of " + entry.file;
  Members user(entry.body, where);
  access.certificate = user.pem("client-certificate", entry.file);
  access.key = user.pem("client-key", entry.file);
  access.token = user.string("token");
  access.tokenFile = Members::resolve(user.string("tokenFile"), entry.file);
  access.impersonate = user.string("as");
  const char* const other = "use a token, a client certificate or an exec plugin";
  for (const char* field : {"auth-provider", "username", "password"}) user.unsupported(field, other);
  for (const char* field : {"as-groups", "as-uid", "as-user-extra"}) {
    user.unsupported(field, "only 'as' is; bind the rights to that user instead");
  }
  if (access.certificate.empty() != access.key.empty()) {
    user.refuse("client-certificate and client-key belong together, and only one is given");
  }
  if (user.fault()) return *user.fault();
  if (const json* exec = user.find("exec")) {
    if (!access.token.empty() || !access.tokenFile.empty())
      return bad(where, "exec and token exclude each other; remove one");
    auto config = readExec(*exec, where, entry.file);
    if (!config) return config.error();
    access.exec = std::move(*config);
  }
  return {};
}

}  // namespace

Result<Access> kubeconfigAccess(const std::vector<std::string>& paths, bool optional, const std::string& context) {
  auto merged = readFiles(paths, optional);
  if (!merged) return merged.error();
  const std::string chosen = context.empty() ? merged->currentContext : context;
  if (chosen.empty()) {
    return bad(merged->files, "current-context is not set; choose one of " + names(merged->contexts));
  }
  const auto found = merged->contexts.find(chosen);
  if (found == merged->contexts.end()) {
    return bad(merged->files, "there is no context " + quote(chosen) + "; there are " + names(merged->contexts));
  }
  const std::string where = "context " + quote(chosen) + " of " + found->second.file;
  Members members(found->second.body, where);
  const std::string cluster = members.string("cluster"), user = members.string("user");
  Access access;
  access.source = where;
  if (const std::string given = members.string("namespace"); !given.empty()) access.defaultNamespace = given;
  if (members.fault()) return *members.fault();

  const auto clusterEntry = merged->clusters.find(cluster);
  if (clusterEntry == merged->clusters.end()) {
    return bad(where, "there is no cluster " + quote(cluster) + "; there are " + names(merged->clusters));
  }
  std::string extension;
  if (auto read = readCluster(clusterEntry->second, cluster, access, extension); !read) return read.error();
  if (user.empty()) return access;  // anonymous, as kubectl allows
  const auto userEntry = merged->users.find(user);
  if (userEntry == merged->users.end()) {
    return bad(where, "there is no user " + quote(user) + "; there are " + names(merged->users));
  }
  if (auto read = readUser(userEntry->second, user, access); !read) return read.error();
  if (access.exec) access.exec->clusterConfig = extension;
  return access;
}

}  // namespace rollback::kube
