// The client against a real API server: what the unit tests assume it says is checked here.
//
//   eval "$(tests/cluster/cluster env NAME)" && FROLLBACK_KUBECONFIG=$KUBECONFIG build/dev/bin/api_kube_client
//
// The kubeconfig must be of a cluster administrator. Every test works in a namespace of its own and deletes it.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "kube/client/client.h"
#include "kube/client/credentials.h"
#include "kube/client/errors.h"
#include "kube/client/yaml.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;
using namespace resources;

const Resource kRoles{"rbac.authorization.k8s.io", "v1", "roles", "Role"};
const Resource kRoleBindings{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"};

std::string kubeconfigPath() {
  const char* path = std::getenv("FROLLBACK_KUBECONFIG");
  INFO("FROLLBACK_KUBECONFIG must name an administrator's kubeconfig; see the top of this file");
  REQUIRE(path != nullptr);
  return path;
}

std::shared_ptr<Client> clientOf(const std::string& kubeconfig, ClientOptions options = {}) {
  static const bool once = (http::initializeTransport(4), true);
  REQUIRE(once);
  CredentialsOptions given;
  given.kubeconfig = kubeconfig;
  auto credentials = loadCredentials(given, systemClock());
  if (!credentials) FAIL(credentials.error().message);
  return makeClient(*credentials, std::move(options), systemClock());
}

Deadline in(Millis time) { return Deadline::after(systemClock(), time); }

// A client, a namespace that is deleted in the end, and a folder for credentials.
struct Place {
  std::shared_ptr<Client> client = clientOf(kubeconfigPath());
  std::string name;
  std::filesystem::path folder;

  Place() {
    static int count = 0;
    name = "kube-client-" + std::to_string(getpid()) + "-" + std::to_string(++count);
    folder = std::filesystem::temp_directory_path() / name;
    std::filesystem::create_directory(folder);
    const auto made =
        client->send(create(kNamespaces, "", json{{"metadata", {{"name", name}}}}.dump()), in(Millis(30000)), {});
    if (!made) FAIL(made.error().message);
  }
  ~Place() {
    std::filesystem::remove_all(folder);
    Request gone;
    gone.verb = Verb::Delete;
    gone.resource = kNamespaces;
    gone.name = name;
    if (!client->send(gone, in(Millis(30000)), {})) WARN("the namespace " << name << " is left behind");
  }

  Result<std::string> send(const Request& request) { return client->send(request, in(Millis(30000)), {}); }
  json must(const Request& request) {
    const auto body = send(request);
    if (!body) FAIL(body.error().message);
    return json::parse(*body);
  }
  Error refused(const Request& request) {
    const auto body = send(request);
    if (body) FAIL(request.describe() << " should have been refused");
    return body.error();
  }
  json configMap(const std::string& object, const json& data = json::object()) {
    return must(create(kConfigMaps, name, json{{"metadata", {{"name", object}}}, {"data", data}}.dump()));
  }
  std::string write(const std::string& file, const std::string& text) {
    std::ofstream(folder / file, std::ios::trunc) << text;
    return (folder / file).string();
  }
  // A token of a new ServiceAccount that may read ConfigMaps here.
  std::string tokenOf(const std::string& account) {
    must(create(kServiceAccounts, name, json{{"metadata", {{"name", account}}}}.dump()));
    bind(account, {"get", "list", "watch"});
    Request wanted = create(kServiceAccounts, name, R"({"spec":{"expirationSeconds":600}})");
    wanted.name = account;
    wanted.subresource = "token";
    return must(wanted)["status"]["token"];
  }
  void bind(const std::string& account, const json& verbs) {
    must(create(kRoles, name,
                json{{"metadata", {{"name", account}}},
                     {"rules", {{{"apiGroups", {""}}, {"resources", {"configmaps"}}, {"verbs", verbs}}}}}
                    .dump()));
    must(create(kRoleBindings, name,
                json{{"metadata", {{"name", account}}},
                     {"roleRef", {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Role"}, {"name", account}}},
                     {"subjects", {{{"kind", "ServiceAccount"}, {"name", account}, {"namespace", name}}}}}
                    .dump()));
  }
  // The administrator's cluster with another user.
  std::string kubeconfig(const json& user, const json& clusterChanges = json::object()) {
    std::ifstream in(kubeconfigPath());
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto asJson = yamlToJson(text);
    REQUIRE(asJson.ok());
    json config = json::parse(*asJson);
    json& cluster = config["clusters"][0]["cluster"];
    cluster.update(clusterChanges);
    config["users"] = {{{"name", "test"}, {"user", user}}};
    config["contexts"] = {
        {{"name", "test"}, {"context", {{"cluster", config["clusters"][0]["name"]}, {"user", "test"}}}}};
    config["current-context"] = "test";
    return write("kubeconfig", config.dump());
  }
};

// Rights need a moment to reach the authorizer's cache.
template <typename Attempt>
auto eventually(Attempt attempt) {
  auto result = attempt();
  for (int i = 0; i < 100 && !result; ++i) {
    std::this_thread::sleep_for(Millis(50));
    result = attempt();
  }
  return result;
}

std::string version(const json& object) { return object["metadata"]["resourceVersion"]; }
std::string uid(const json& object) { return object["metadata"]["uid"]; }

TEST_CASE("objects are created, read and deleted, and a second creation says so") {
  Place place;
  const json made = place.configMap("a", {{"k", "v"}});
  const auto read = place.send(get(kConfigMaps, place.name, "a"));
  REQUIRE(read.ok());
  const auto decoded = decodeConfigMap(*read);
  if (!decoded) FAIL(decoded.error().message);
  CHECK(decoded->meta.uid == uid(made));
  CHECK(decoded->data.at("k") == "v");

  const Error twice = place.refused(create(kConfigMaps, place.name, R"({"metadata":{"name":"a"}})"));
  CHECK(twice.code == ErrorCode::AlreadyExists);
  const Error absent = place.refused(get(kConfigMaps, place.name, "b"));
  CHECK(absent.code == ErrorCode::NotFound);
  CHECK_THAT(absent.message, Contains("GET configmaps " + place.name + "/b") && Contains("not found"));
  const Error invalid = place.refused(create(kConfigMaps, place.name, R"({"metadata":{"name":"Not A Name"}})"));
  CHECK(invalid.code == ErrorCode::Invalid);
  CHECK(place.refused(create(kConfigMaps, place.name, "{")).code == ErrorCode::BadInput);
}

TEST_CASE("a delete is aimed: another uid or resourceVersion is a Conflict and deletes nothing") {
  Place place;
  const json made = place.configMap("a");
  CHECK(place.refused(remove(kConfigMaps, place.name, "a", "00000000-0000-0000-0000-000000000000", "")).code ==
        ErrorCode::Conflict);
  CHECK(place.refused(remove(kConfigMaps, place.name, "a", "", "")).code == ErrorCode::Conflict);
  CHECK(place.refused(remove(kConfigMaps, place.name, "a", uid(made), "1")).code == ErrorCode::Conflict);
  REQUIRE(place.send(remove(kConfigMaps, place.name, "a", uid(made), version(made))).ok());
  CHECK(place.refused(get(kConfigMaps, place.name, "a")).code == ErrorCode::NotFound);
}

TEST_CASE("the kinds of patches do what they are for, and stale or wrongly aimed ones are refused") {
  Place place;
  const json made = place.configMap("a", {{"k", "v"}});
  const auto patched = [&](PatchType type, const std::string& body) {
    return patch(kConfigMaps, place.name, "a", type, body);
  };

  CHECK(place.must(patched(PatchType::Merge, R"({"data":{"m":"1","k":null}})"))["data"] == json{{"m", "1"}});
  CHECK(
      place.must(patched(
          PatchType::Json,
          R"([{"op":"test","path":"/data/m","value":"1"},{"op":"add","path":"/data/j","value":"2"}])"))["data"]["j"] ==
      "2");
  CHECK(place.must(patched(PatchType::StrategicMerge, R"({"data":{"s":"3"}})"))["data"]["s"] == "3");

  CHECK(place.refused(patched(PatchType::Json, R"([{"op":"test","path":"/data/m","value":"9"}])")).code ==
        ErrorCode::Invalid);
  const json stale{{"metadata", {{"resourceVersion", version(made)}}}, {"data", {{"x", "y"}}}};
  CHECK(place.refused(patched(PatchType::Merge, stale.dump())).code == ErrorCode::Conflict);
  const Error aim =
      place.refused(patched(PatchType::Merge, R"({"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}})"));
  CHECK((aim.code == ErrorCode::Conflict || aim.code == ErrorCode::Invalid));
  CHECK(place.refused(patched(PatchType::Merge, "{")).code == ErrorCode::BadInput);
}

TEST_CASE("a strategic merge patch changes one container's image and leaves the others") {
  Place place;
  const char* const deployment =
      R"({"metadata":{"name":"shop"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"shop"}},
      "template":{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[
        {"name":"main","image":"shop:1","env":[{"name":"KEY","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]},
        {"name":"side","image":"side:1"}]}}}})";
  place.must(create(kDeployments, place.name, deployment));
  const auto changed =
      place.send(patch(kDeployments, place.name, "shop", PatchType::StrategicMerge,
                       R"({"spec":{"template":{"spec":{"containers":[{"name":"main","image":"shop:2"}]}}}})"));
  REQUIRE(changed.ok());
  const auto workload = decodeWorkload(*changed);
  REQUIRE(workload.ok());
  REQUIRE(workload->containers.size() == 2);
  CHECK(workload->container("main")->image == "shop:2");
  CHECK(workload->container("main")->env[0].valueFrom == R"({"secretKeyRef":{"key":"k","name":"s"}})");
  CHECK(workload->container("side")->image == "side:1");

  Request scale = patch(kDeployments, place.name, "shop", PatchType::Merge, R"({"spec":{"replicas":1}})");
  scale.subresource = "scale";
  CHECK(place.must(scale)["spec"]["replicas"] == 1);

  // The items of a list say no kind; the decoder must get along.
  int seen = 0;
  const auto listed = place.client->list(list(kDeployments, place.name), 500, in(Millis(30000)), {},
                                         [&](std::string_view item) -> Result<void> {
                                           ++seen;
                                           const auto one = decodeWorkload(item);
                                           if (!one) return one.error();
                                           CHECK(one->kind == "Deployment");
                                           return {};
                                         });
  CHECK(listed.ok());
  CHECK(seen == 1);
}

TEST_CASE("server-side apply owns fields by manager: another manager is a Conflict until it forces") {
  Place place;
  const auto apply = [&](const std::string& manager, const std::string& value, bool force) {
    Request request =
        patch(kConfigMaps, place.name, "a", PatchType::Apply,
              json{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "a"}}}, {"data", {{"k", value}}}}
                  .dump());
    if (!manager.empty()) request.query.emplace_back("fieldManager", manager);
    if (force) request.query.emplace_back("force", "true");
    return request;
  };
  // The server reads an apply as YAML: everything JSON can say must survive that.
  const std::string odd = "1 \"ä\" \\ / \t \n \u2028 \u2029 \u0085 \x7f \ufeff \U0001F600 \x01 end ";
  const json made = place.must(apply("", odd, false));
  CHECK(made["metadata"]["managedFields"][0]["manager"] == "framework-rollback-operator");
  CHECK(made["data"]["k"] == odd);
  const Error conflict = place.refused(apply("somebody", "2", false));
  CHECK(conflict.code == ErrorCode::Conflict);
  CHECK_THAT(conflict.message, Contains("framework-rollback-operator"));  // names the owner
  CHECK(place.must(apply("somebody", "2", true))["data"]["k"] == "2");
}

TEST_CASE("status is written by its subresource, and a stale write is a Conflict") {
  Place place;
  json pod = place.must(
      create(kPods, place.name, R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})"));
  const json old = pod;
  pod["status"]["phase"] = "Running";
  pod["status"]["podIP"] = "10.0.0.1";
  REQUIRE(place.send(updateStatus(kPods, place.name, "p", pod.dump())).ok());
  const auto read = decodePod(*place.send(get(kPods, place.name, "p")));
  REQUIRE(read.ok());
  CHECK(read->phase == "Running");
  CHECK(place.refused(updateStatus(kPods, place.name, "p", old.dump())).code == ErrorCode::Conflict);
}

TEST_CASE("a dry run is answered like a write and changes nothing") {
  Place place;
  Request dry = create(kConfigMaps, place.name, R"({"metadata":{"name":"a"}})");
  dry.query = {{"dryRun", "All"}};
  CHECK(place.must(dry)["metadata"]["name"] == "a");
  CHECK(place.refused(get(kConfigMaps, place.name, "a")).code == ErrorCode::NotFound);
}

TEST_CASE("1,200 ConfigMaps are listed in pages, each once, at one resourceVersion") {
  Place place;
  constexpr int kCount = 1200;
  std::vector<std::thread> writers;
  std::atomic<int> failures{0};
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = writer; i < kCount; i += 4) {
        const auto made = place.send(create(
            kConfigMaps, place.name, R"({"metadata":{"name":"c-)" + std::to_string(i) + R"(","labels":{"n":"1"}}})"));
        if (!made) ++failures;
      }
    });
  }
  for (auto& each : writers) each.join();
  REQUIRE(failures == 0);

  for (const int pageSize : {500, 0}) {
    std::set<std::string> names;
    int items = 0;
    const auto meta = place.client->list(list(kConfigMaps, place.name, "n in (1, 2)"), pageSize, in(Millis(60000)), {},
                                         [&](std::string_view item) -> Result<void> {
                                           const auto one = decodeMeta(item);
                                           if (!one) return one.error();
                                           ++items;
                                           names.insert(one->name);
                                           return {};
                                         });
    if (!meta) FAIL(meta.error().message);
    CHECK(items == kCount);
    CHECK(names.size() == kCount);
    CHECK(meta->resourceVersion != "");
    CHECK(meta->continueToken == "");
  }
}

TEST_CASE("a list at a resourceVersion nobody has seen yet is Expired with its own reason, not a timeout") {
  Place place;
  Request future = list(kConfigMaps, place.name);
  future.query = {{"resourceVersion", "9000000000000"}, {"resourceVersionMatch", "NotOlderThan"}};
  const auto meta =
      place.client->list(future, 500, in(Millis(30000)), {}, [](std::string_view) { return Result<void>{}; });
  REQUIRE_FALSE(meta.ok());
  CHECK(meta.error().code == ErrorCode::Expired);
  CHECK(meta.error().reason == kTooLargeResourceVersion);
}

TEST_CASE("a watch delivers the initial objects, the bookmark that ends them, and every change") {
  Place place;
  place.configMap("before", {{"k", "1"}});
  Request watched = list(kConfigMaps, place.name);
  watched.query = {{"sendInitialEvents", "true"},
                   {"resourceVersionMatch", "NotOlderThan"},
                   {"allowWatchBookmarks", "true"},
                   {"timeoutSeconds", "30"}};
  std::vector<std::string> seen;
  const auto end = place.client->watch(watched, in(Millis(30000)), Millis(20000), {}, [&](const WatchEvent& event) {
    const json object = json::parse(event.object);
    const auto& meta = object["metadata"];
    if (meta.value("name", "") == "kube-root-ca.crt") return true;  // the controller manager's, whenever it gets there
    switch (event.type) {
      case WatchEvent::Type::Added:
        seen.push_back("added " + meta["name"].get<std::string>());
        break;
      case WatchEvent::Type::Modified:
        seen.push_back("modified " + object["data"]["k"].get<std::string>());
        break;
      case WatchEvent::Type::Deleted:
        seen.push_back("deleted");
        return false;
      case WatchEvent::Type::Bookmark:
        if (meta.value("annotations", json::object()).value("k8s.io/initial-events-end", "") != "true") return true;
        seen.push_back("bookmark");
        place.must(patch(kConfigMaps, place.name, "before", PatchType::Merge, R"({"data":{"k":"2"}})"));
        place.must(remove(kConfigMaps, place.name, "before",
                          uid(json::parse(*place.send(get(kConfigMaps, place.name, "before")))), ""));
        break;
      case WatchEvent::Type::Error:
        seen.push_back("error");
        break;
    }
    return true;
  });
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == ErrorCode::Cancelled);
  CHECK(seen == std::vector<std::string>{"added before", "bookmark", "modified 2", "deleted"});
}

TEST_CASE("a watch ends well when its time is over, and at once when it is cancelled") {
  Place place;
  Request watched = list(kConfigMaps, place.name);
  watched.query = {{"timeoutSeconds", "1"}};
  CHECK(
      place.client->watch(watched, in(Millis(20000)), Millis(15000), {}, [](const WatchEvent&) { return true; }).ok());

  watched.query = {{"timeoutSeconds", "300"}};
  http::CancelToken cancel;
  place.configMap("a");
  const auto end = place.client->watch(watched, in(Millis(60000)), Millis(60000), cancel, [&](const WatchEvent&) {
    cancel.cancel();
    return true;
  });
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == ErrorCode::Cancelled);
}

TEST_CASE("a watch from a resourceVersion that is long gone is Expired") {
  Place place;
  Request watched = list(kConfigMaps, place.name);
  watched.query = {{"resourceVersion", "1"}, {"timeoutSeconds", "5"}};
  const auto end =
      place.client->watch(watched, in(Millis(20000)), Millis(15000), {}, [](const WatchEvent&) { return true; });
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == ErrorCode::Expired);
  CHECK(end.error().httpStatus == 410);
}

TEST_CASE("a request sent as a ServiceAccount has that account's rights and no others") {
  Place place;
  place.configMap("a");
  Request asRunner = get(kConfigMaps, place.name, "a");
  asRunner.asServiceAccount = "rollback-runner";
  const Error forbidden = place.refused(asRunner);  // works without the account existing
  CHECK(forbidden.code == ErrorCode::Forbidden);
  CHECK_THAT(forbidden.message, Contains("system:serviceaccount:" + place.name + ":rollback-runner"));
  place.bind("rollback-runner", {"get"});
  CHECK(eventually([&] { return place.send(asRunner); }).ok());

  Request review = create(
      kSelfSubjectAccessReviews, place.name,
      json{{"spec",
            {{"resourceAttributes", {{"namespace", place.name}, {"verb", "delete"}, {"resource", "configmaps"}}}}}}
          .dump());
  review.asServiceAccount = "rollback-runner";
  CHECK(place.must(review)["status"]["allowed"] == false);
}

TEST_CASE("a kubeconfig with token, token file, exec plugin or impersonation is who it says") {
  Place place;
  place.configMap("a");
  const std::string token = place.tokenOf("reader");
  const std::string file = place.write("token", token + "\n");
  const std::string credential = json{
      {"apiVersion", "client.authentication.k8s.io/v1"},
      {"kind", "ExecCredential"},
      {"status", {{"token", token}}}}.dump();
  const std::string plugin = place.write("plugin.sh", "#!/bin/sh\ncat <<'END'\n" + credential + "\nEND\n");
  std::filesystem::permissions(plugin, std::filesystem::perms::owner_all);

  const json users[] = {
      {{"token", token}},
      {{"tokenFile", file}, {"token", "never-used"}},
      {{"exec",
        {{"apiVersion", "client.authentication.k8s.io/v1"},
         {"command", "./plugin.sh"},
         {"interactiveMode", "Never"},
         {"provideClusterInfo", true}}}},
  };
  for (const json& user : users) {
    INFO(user.begin().key());
    const auto client = clientOf(place.kubeconfig(user));
    CHECK(eventually([&] { return client->send(get(kConfigMaps, place.name, "a"), in(Millis(30000)), {}); }).ok());
    const auto other = client->send(get(kPods, place.name, "p"), in(Millis(30000)), {});
    REQUIRE_FALSE(other.ok());
    CHECK_THAT(other.error().message, Contains("system:serviceaccount:" + place.name + ":reader"));
  }
}

TEST_CASE("a token that is refused is read again from its file, once") {
  Place place;
  place.configMap("a");
  const std::string token = place.tokenOf("reader");
  const std::string file = place.write("token", "not-a-token");
  const auto client = clientOf(place.kubeconfig({{"tokenFile", file}}));
  const Request read = get(kConfigMaps, place.name, "a");
  const auto refused = client->send(read, in(Millis(30000)), {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::Unauthorized);
  place.write("token", token);
  CHECK(eventually([&] { return client->send(read, in(Millis(30000)), {}); }).ok());
}

TEST_CASE("a server with another authority is not trusted, and one that is not there is Unavailable") {
  Place place;
  // Any other certificate is another authority: the administrator's own client certificate will do.
  std::ifstream in_(kubeconfigPath());
  const std::string text{std::istreambuf_iterator<char>(in_), {}};
  const json user = json::parse(*yamlToJson(text))["users"][0]["user"];
  const json wrong = user.contains("client-certificate-data")
                         ? json{{"certificate-authority-data", user["client-certificate-data"]}}
                         : json{{"certificate-authority", user["client-certificate"]}};
  const Request read = get(kConfigMaps, place.name, "a");
  const auto untrusted = clientOf(place.kubeconfig({{"token", "t"}}, wrong))->send(read, in(Millis(30000)), {});
  REQUIRE_FALSE(untrusted.ok());
  CHECK(untrusted.error().code == ErrorCode::Tls);
  const auto nobody = clientOf(place.kubeconfig({{"token", "t"}}, {{"server", "https://127.0.0.1:1"}}))
                          ->send(read, in(Millis(30000)), {});
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code == ErrorCode::Unavailable);
}

TEST_CASE("a warning of the server's is shown once") {
  std::vector<std::string> shown;
  ClientOptions options;
  options.onWarning = [&](const std::string& text) { shown.push_back(text); };
  Place place;
  place.client = clientOf(kubeconfigPath(), options);
  for (const char* name : {"a", "b"}) {
    Request doubtful = create(kConfigMaps, place.name, json{{"metadata", {{"name", name}}}, {"dataa", 1}}.dump());
    doubtful.query = {{"fieldValidation", "Warn"}};
    REQUIRE(place.send(doubtful).ok());
  }
  REQUIRE(shown.size() == 1);
  CHECK_THAT(shown[0], Contains("dataa"));
}

}  // namespace
}  // namespace rollback::kube
