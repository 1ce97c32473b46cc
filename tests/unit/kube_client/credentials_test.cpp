// Where credentials come from, and how they stay fresh.
#include <catch2/catch.hpp>

#include "setting.h"

namespace rollback::kube {
namespace {

using namespace fakes;
using Catch::Matchers::Contains;

const std::string kServer = "server: 'https://10.0.0.1:6443'";

std::string tokenOf(const std::shared_ptr<Credentials>& credentials) {
  const auto header = credentials->authorization();
  return header ? *header : "ERROR " + header.error().message;
}

struct Mounted : Setting {
  material::Pair ca = material::makePair("ca");
  Mounted() {
    environment = {
        {"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}, {"HOME", directory.path()}};
    directory.write("sa/token", "first\n");
    directory.write("sa/ca.crt", ca.certificate);
    directory.write("sa/namespace", "operators\n");
  }
};

TEST_CASE("given a pod, then its ServiceAccount is used and only the cluster's CA is trusted") {
  Mounted pod;
  const auto credentials = pod.load();
  REQUIRE(credentials.ok());
  CHECK((*credentials)->defaultNamespace() == "operators");
  CHECK((*credentials)->impersonate() == "");
  CHECK(tokenOf(*credentials) == "Bearer first");
  REQUIRE((*credentials)->transport().ok());
  REQUIRE(pod.made.size() == 1);
  CHECK(pod.made[0].origin == "https://10.96.0.1:443");
  CHECK(pod.made[0].tls.caPem == pod.ca.certificate);
  CHECK_FALSE(pod.made[0].tls.insecureSkipVerify);
}

TEST_CASE("given a pod on IPv6, then the address is in brackets; POD_NAMESPACE wins over the mount") {
  Mounted pod;
  pod.environment["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  pod.environment["POD_NAMESPACE"] = "elsewhere";
  const auto credentials = pod.load();
  REQUIRE(credentials.ok());
  REQUIRE((*credentials)->transport().ok());
  CHECK(pod.made[0].origin == "https://[fd00::1]:443");
  CHECK((*credentials)->defaultNamespace() == "elsewhere");
}

TEST_CASE("given a projected token that rotates, then it is read again within a minute, not on every request") {
  Mounted pod;
  const auto credentials = *pod.load();
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.directory.write("sa/token", "second");
  pod.clock.advance(Millis(49999));
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.clock.advance(Millis(10001));
  CHECK(tokenOf(credentials) == "Bearer second");
}

TEST_CASE("given a rotation that is half done, then the last good token stays") {
  Mounted pod;
  const auto credentials = *pod.load();
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.clock.advance(Millis(60000));
  pod.directory.write("sa/token", " \n");
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.directory.remove("sa/token");
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.directory.write("sa/token", "third");
  CHECK(tokenOf(credentials) == "Bearer third");
}

TEST_CASE("given a refused request, then a token as old as it is read again at once, a newer one is kept") {
  Mounted pod;
  const auto credentials = *pod.load();
  CHECK(tokenOf(credentials) == "Bearer first");
  pod.directory.write("sa/token", "second");
  credentials->rejected(pod.clock.now() - Millis(1));
  CHECK(tokenOf(credentials) == "Bearer first");
  credentials->rejected(pod.clock.now());
  CHECK(tokenOf(credentials) == "Bearer second");
  // A refused token is not good enough to fall back to.
  pod.directory.remove("sa/token");
  credentials->rejected(pod.clock.now());
  const auto gone = credentials->authorization();
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == ErrorCode::Unauthorized);
  CHECK_THAT(gone.error().message, Contains("sa/token"));
}

TEST_CASE("given a CA that rotates, then a new transport takes over; while the file is bad the old one stays") {
  Mounted pod;
  const auto credentials = *pod.load();
  const auto first = *credentials->transport();
  pod.clock.advance(Millis(60000));
  CHECK(*credentials->transport() == first);  // the same content
  for (const char* bad : {"", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    pod.directory.write("sa/ca.crt", bad);
    pod.clock.advance(Millis(60000));
    const auto kept = credentials->transport();
    REQUIRE(kept.ok());
    CHECK(*kept == first);
  }
  CHECK(pod.made.size() == 1);
  const auto next = material::makePair("ca-2");
  pod.directory.write("sa/ca.crt", pod.ca.certificate + next.certificate);
  pod.clock.advance(Millis(60000));
  CHECK(*credentials->transport() != first);
  REQUIRE(pod.made.size() == 2);
  CHECK(pod.made[1].tls.caPem == pod.ca.certificate + next.certificate);
}

TEST_CASE("given a pod without a CA, then no transport is made, and the error is not that an object is missing") {
  Mounted pod;
  pod.directory.remove("sa/ca.crt");
  const auto credentials = *pod.load();
  const auto transport = credentials->transport();
  REQUIRE_FALSE(transport.ok());
  CHECK(transport.error().code == ErrorCode::Tls);
  CHECK_THAT(transport.error().message, Contains("ca.crt"));
}

TEST_CASE("a token that cannot be a header value is refused without being shown") {
  for (const std::string& token : {std::string("s3cret\r\nX-Evil: 1"), std::string("s3 cret"),
                                   std::string("s3cret\0x", 8), std::string("s3cret\xC3\xA4")}) {
    Mounted pod;
    pod.directory.write("sa/token", token);
    const auto header = (*pod.load())->authorization();
    REQUIRE_FALSE(header.ok());
    CHECK(header.error().code == ErrorCode::Unauthorized);
    CHECK_THAT(header.error().message, !Contains("s3"));
  }
}

TEST_CASE("sources are tried in the order users know") {
  Mounted place;
  place.directory.write(".kube/config", Setting::config("home", "server: 'http://home'", "token: x"));
  const std::string named =
      place.directory.write("named", Setting::config("named", "server: 'http://named'", "token: x"));
  const std::string variable =
      place.directory.write("variable", Setting::config("variable", "server: 'http://variable'", "token: x"));
  const auto origin = [&] {
    const auto credentials = place.load();
    if (!credentials) return "ERROR " + credentials.error().message;
    REQUIRE((*credentials)->transport().ok());
    return place.made.back().origin;
  };
  place.environment["KUBECONFIG"] = variable;
  place.options.kubeconfig = named;
  CHECK(origin() == "http://named");
  place.options.kubeconfig = "";
  CHECK(origin() == "http://variable");
  place.environment.erase("KUBECONFIG");
  CHECK(origin() == "https://10.96.0.1:443");
  place.environment.erase("KUBERNETES_SERVICE_HOST");
  CHECK(origin() == "http://home");
  place.environment.erase("HOME");
  CHECK_THAT(origin(), Contains("ERROR") && Contains("no kubeconfig was named"));
  // What was asked for and is missing is an error, not a reason to look elsewhere.
  place.environment["HOME"] = place.directory.path();
  place.options.kubeconfig = place.directory / "absent";
  CHECK_THAT(origin(), Contains("ERROR") && Contains("absent"));
  place.options.kubeconfig = "";
  place.environment["KUBECONFIG"] = (place.directory / "absent") + ":" + (place.directory / "gone");
  CHECK_THAT(origin(), Contains("ERROR") && Contains("absent") && Contains("gone"));
}

TEST_CASE("given several kubeconfigs, then the first to name something wins, and missing ones are passed over") {
  Setting place;
  const std::string first = place.directory.write("a/config",
                                                  "current-context: one\n"
                                                  "users:\n- name: shared\n  user: {tokenFile: token}\n");
  const std::string second =
      place.directory.write("b/config",
                            "current-context: two\n"
                            "contexts:\n"
                            "- {name: one, context: {cluster: c, user: shared, namespace: from-second}}\n"
                            "- {name: two, context: {cluster: d, user: shared}}\n"
                            "clusters:\n"
                            "- {name: c, cluster: {server: 'https://c', insecure-skip-tls-verify: true}}\n"
                            "- {name: d, cluster: {server: 'https://d/base/'}}\n"
                            "users:\n- {name: shared, user: {token: from-second}}\n");
  place.directory.write("a/token", "from-first");
  place.options.kubeconfig = first + ":" + (place.directory / "absent") + "::" + second;
  const auto one = place.load();
  REQUIRE(one.ok());
  CHECK((*one)->defaultNamespace() == "from-second");
  CHECK(tokenOf(*one) == "Bearer from-first");  // relative to its own file
  REQUIRE((*one)->transport().ok());
  CHECK(place.made[0].origin == "https://c");
  CHECK(place.made[0].tls.insecureSkipVerify);

  place.options.context = "two";
  const auto two = place.load();
  REQUIRE(two.ok());
  CHECK((*two)->defaultNamespace() == "default");
  REQUIRE((*two)->transport().ok());
  CHECK(place.made[1].origin == "https://d");
}

TEST_CASE("given a server behind a path, then every request goes below it") {
  Setting place;
  const auto credentials = place.loadConfig("server: 'https://proxy/k8s/clusters/c-1/'", "token: t");
  REQUIRE(credentials.ok());
  const auto client = makeClient(*credentials, ClientOptions{}, place.clock);
  REQUIRE((*credentials)->transport().ok());
  place.transports[0]->script = {answer(200, "{}"), answer(200, "")};
  REQUIRE(client->send(get(resources::kPods, "demo", "p"), Deadline{}, {}).ok());
  REQUIRE(
      client->watch(list(resources::kPods, ""), Deadline{}, Millis(1000), {}, [](const WatchEvent&) { return true; })
          .ok());
  CHECK(place.transports[0]->requests[0].target == "/k8s/clusters/c-1/api/v1/namespaces/demo/pods/p");
  CHECK(place.transports[0]->requests[1].target == "/k8s/clusters/c-1/api/v1/pods?watch=true");
}

TEST_CASE("given a kubeconfig with certificate data, then CA, certificate, key and server name reach the transport") {
  Setting place;
  const auto ca = material::makePair("ca"), client = material::makePair("client");
  const auto credentials = place.loadConfig(
      kServer + ", tls-server-name: api.internal, certificate-authority: ignored, certificate-authority-data: " +
          material::base64(ca.certificate),
      "client-certificate-data: " + material::base64(client.certificate) +
          ", client-key-data: " + material::base64(client.key) + ", as: alice");
  REQUIRE(credentials.ok());
  REQUIRE((*credentials)->transport().ok());
  CHECK(place.made[0].tls.caPem == ca.certificate);
  CHECK(place.made[0].tls.certificatePem == client.certificate);
  CHECK(place.made[0].tls.keyPem == client.key);
  CHECK(place.made[0].tls.serverName == "api.internal");
  CHECK((*credentials)->impersonate() == "alice");
  CHECK(*(*credentials)->authorization() == "");
}

TEST_CASE(
    "given certificate files that rotate one after the other, then the old pair serves until the new one is whole") {
  Setting place;
  const auto old = material::makePair("old"), fresh = material::makePair("new");
  place.directory.write("tls/cert", old.certificate);
  place.directory.write("tls/key", old.key);
  const auto credentials = *place.loadConfig(kServer, "client-certificate: tls/cert, client-key: tls/key");
  const auto first = *credentials->transport();
  place.directory.write("tls/cert", fresh.certificate);
  place.clock.advance(Millis(60000));
  CHECK(*credentials->transport() == first);
  place.directory.write("tls/key", fresh.key);
  place.clock.advance(Millis(60000));
  CHECK(*credentials->transport() != first);
  REQUIRE(place.made.size() == 2);
  CHECK(place.made[1].tls.certificatePem == fresh.certificate);
  CHECK(place.made[1].tls.keyPem == fresh.key);
}

TEST_CASE("given both a token and a token file, then the file wins") {
  Setting place;
  place.directory.write("token-file", "from-file");
  CHECK(tokenOf(*place.loadConfig(kServer, "token: inline, tokenFile: token-file")) == "Bearer from-file");
  CHECK(tokenOf(*place.loadConfig(kServer, "token: inline")) == "Bearer inline");
}

TEST_CASE("given a server over plain http, then no credential is sent") {
  Setting place;
  const auto credentials = *place.loadConfig("server: 'http://127.0.0.1:8001'", "token: s3cret");
  REQUIRE(credentials->transport().ok());
  CHECK(*credentials->authorization() == "");
}

TEST_CASE("what cannot be honoured is refused by name, and no secret is shown") {
  const auto pair = material::makePair("x");
  struct Row {
    std::string cluster, user;
    const char* says;
  };
  const std::string exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: ";
  const Row rows[] = {
      {kServer + ", proxy-url: 'http://p'", "token: s3cret", "proxy-url is not supported"},
      {kServer, "username: u, password: s3cret", "username is not supported"},
      {kServer, "auth-provider: {name: gcp}", "auth-provider is not supported"},
      {kServer, "token: s3cret, as-groups: [g]", "as-groups is not supported"},
      {kServer, "token: s3cret, as-uid: u", "as-uid is not supported"},
      {kServer, "token: s3cret, as-user-extra: {a: [b]}", "as-user-extra is not supported"},
      {kServer, "client-certificate: c", "only one is given"},
      {kServer, "client-key-data: AAAA", "only one is given"},
      {kServer, "client-key-data: '###s3cret', client-certificate: c", "client-key-data is not base64"},
      {kServer + ", insecure-skip-tls-verify: true, certificate-authority: ca", "", "exclude each other"},
      {kServer + ", insecure-skip-tls-verify: 'true'", "", "neither true nor false"},
      {"server: [5]", "", "server is not a string"},
      {"server: ''", "", "there is none"},
      {"server: 'host:6443'", "", "has no scheme"},
      {"server: 'ftp://host'", "", "neither https nor http"},
      {"server: 'https://u:s3cret@host'", "", "more than a host"},
      {"server: 'https:///x'", "", "it has no host"},
      {kServer, "token: 1.5", "token is not a string"},
      {kServer, "token: s3cret, " + exec + "Never}", "exec and token exclude each other"},
      {kServer, exec + "Always}", "needs a terminal"},
      {kServer, exec + "'', args: []}", "interactiveMode is required"},
      {kServer, exec + "Perhaps}", "is none of Never"},
      {kServer, exec + "Never, args: [1]}", "exec.args holds something"},
      {kServer, exec + "Never, args: one}", "exec.args is not a list"},
      {kServer, exec + "Never, env: [{value: s3cret}]}", "has no name"},
      {kServer, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: p}", "v1alpha1\" is not supported"},
      {kServer, "exec: {apiVersion: client.authentication.k8s.io/v1beta1}", "exec.command is missing"},
  };
  for (const Row& row : rows) {
    INFO(row.cluster << " / " << row.user);
    Setting place;
    const auto credentials = place.loadConfig(row.cluster, row.user);
    REQUIRE_FALSE(credentials.ok());
    CHECK(credentials.error().code == ErrorCode::BadInput);
    CHECK_THAT(credentials.error().message, Contains(row.says) && !Contains("s3cret"));
    CHECK_THAT(credentials.error().message, Contains(place.directory.path()));
  }
}

TEST_CASE("given numbers and booleans where a text is wanted, then they are the texts kubectl takes them for") {
  Setting place;
  place.options.kubeconfig = place.directory.write(
      "config",
      "current-context: no\ncontexts: [{name: no, context: {cluster: 1, user: 2, namespace: 123}}]\n"
      "clusters: [{name: 1, cluster: {server: 'https://c'}}]\nusers: [{name: '2', user: {token: 12345678}}]");
  const auto credentials = place.load();
  REQUIRE(credentials.ok());
  CHECK((*credentials)->defaultNamespace() == "123");
  CHECK(tokenOf(*credentials) == "Bearer 12345678");
}

TEST_CASE("given empty members of unsupported fields, as tools write them, then they do no harm") {
  Setting place;
  CHECK(place
            .loadConfig(kServer + ", proxy-url: ''",
                        "token: t, username: '', as-groups: [], as-user-extra: {}, auth-provider: null")
            .ok());
}

TEST_CASE("given a kubeconfig with a broken shape, then the error says which file and what") {
  struct Row {
    const char* text;
    const char* says;
  };
  const Row rows[] = {
      {"", "current-context is not set; choose one of none"},
      {"contexts: [{name: a, context: {}}, {name: b}]", "choose one of \"a\", \"b\""},
      {"current-context: x\ncontexts: [{name: a}]", "there is no context \"x\"; there are \"a\""},
      {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]", "there is no cluster \"c\"; there are none"},
      {"current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: "
       "{server: 'https://c'}}]",
       "there is no user \"u\""},
      {"current-context: a\ncontexts: [{name: a}, {name: a}]", "names \"a\" twice"},
      {"current-context: a\ncontexts: {a: b}", "contexts is not a list"},
      {"current-context: a\ncontexts: [{context: {}}]", "has no name"},
      {"current-context: a\ncontexts: [{name: a, context: []}]", "is not a mapping"},
      {"current-context: a\ncurrent-context: b", "appears twice"},
      {"kind: Deployment\napiVersion: apps/v1", "apps/v1 Deployment instead of v1 Config"},
      {"[]", "not a mapping"},
      {"a: [", "line"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    Setting place;
    place.options.kubeconfig = place.directory.write("config", row.text);
    const auto credentials = place.load();
    REQUIRE_FALSE(credentials.ok());
    CHECK_THAT(credentials.error().message, Contains(row.says) && Contains(place.directory / "config"));
  }
}

TEST_CASE("given a user-less context, then requests are anonymous") {
  Setting place;
  place.options.kubeconfig = place.directory.write("config",
                                                   "current-context: a\ncontexts: [{name: a, context: {cluster: "
                                                   "c}}]\nclusters: [{name: c, cluster: {server: 'https://c'}}]");
  const auto credentials = place.load();
  REQUIRE(credentials.ok());
  CHECK(*(*credentials)->authorization() == "");
}

TEST_CASE("given a kubeconfig in JSON or UTF-16, then it is read all the same") {
  Setting place;
  const std::string json =
      R"({"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c"}}],"clusters":[{"name":"c","cluster":{"server":"https://c"}}]})";
  place.options.kubeconfig = place.directory.write("config", json);
  CHECK(place.load().ok());
  std::string wide = "\xFF\xFE";
  for (const char c : json) wide += std::string{c, '\0'};
  place.options.kubeconfig = place.directory.write("wide", wide);
  CHECK(place.load().ok());
}

}  // namespace
}  // namespace rollback::kube
