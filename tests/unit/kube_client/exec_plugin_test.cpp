// Exec plugins: what they are told, how long their answer counts, and the children they run as.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/transport.h"
#include "setting.h"

namespace rollback::kube {
namespace {

using namespace fakes;
using Catch::Matchers::Contains;
using nlohmann::json;

constexpr const char* kV1 = "client.authentication.k8s.io/v1";

std::string user(const std::string& more = "") {
  return std::string("exec: {apiVersion: ") + kV1 + ", command: get-token, interactiveMode: Never" +
         (more.empty() ? "" : ", ") + more + "}";
}

std::string printed(const json& status, const std::string& apiVersion = kV1) {
  return json{{"apiVersion", apiVersion}, {"kind", "ExecCredential"}, {"status", status}}.dump();
}

struct Plugin : Setting {
  std::string next = "1";
  std::string expires;
  Plugin() {
    plugin = [this](const PluginCommand&) -> Result<std::string> {
      json status{{"token", "t" + next}};
      if (!expires.empty()) status["expirationTimestamp"] = expires;
      return printed(status);
    };
  }
  std::shared_ptr<Credentials> with(const std::string& more = "") {
    auto loaded = loadConfig("server: 'https://c', tls-server-name: api", user(more));
    REQUIRE(loaded.ok());
    return *loaded;
  }
};

TEST_CASE("given an exec plugin, then it runs without a shell and is told who asks") {
  Plugin place;
  const auto credentials = place.with("args: ['--x', \"$(id); y\"], env: [{name: A, value: b}]");
  CHECK(place.runs.empty());  // not before it is needed
  CHECK(*credentials->authorization() == "Bearer t1");
  REQUIRE(place.runs.size() == 1);
  CHECK(place.runs[0].argv == std::vector<std::string>{"get-token", "--x", "$(id); y"});
  REQUIRE(place.runs[0].environment.size() == 2);
  CHECK(place.runs[0].environment[0] == std::make_pair(std::string("A"), std::string("b")));
  CHECK(place.runs[0].environment[1].first == "KUBERNETES_EXEC_INFO");
  CHECK(
      json::parse(place.runs[0].environment[1].second) ==
      json::parse(
          R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}})"));
  CHECK(place.runs[0].deadline == Millis(30000));
}

TEST_CASE("given a plugin that wants cluster info, then it gets server, CA and its extension") {
  Plugin place;
  const auto ca = material::makePair("ca");
  place.directory.write("ca.crt", ca.certificate);
  const auto loaded = place.loadConfig(
      "server: 'https://c', certificate-authority: ca.crt, tls-server-name: api, "
      "extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {audience: a}}]",
      user("provideClusterInfo: true"));
  REQUIRE(loaded.ok());
  REQUIRE((*loaded)->authorization().ok());
  const json info = json::parse(place.runs[0].environment[0].second);
  CHECK(info["spec"]["cluster"] == json{{"server", "https://c"},
                                        {"tls-server-name", "api"},
                                        {"certificate-authority-data", material::base64(ca.certificate)},
                                        {"config", {{"audience", "a"}}}});
}

TEST_CASE("a command with a slash is relative to its kubeconfig, one without is looked up") {
  Setting place;
  place.plugin = [](const PluginCommand&) -> Result<std::string> {
    return printed({{"token", "t"}}, "client.authentication.k8s.io/v1beta1");
  };
  const std::string exec = "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ";
  REQUIRE((*place.loadConfig("server: 'https://c'", exec + "./bin/p}"))->authorization().ok());
  REQUIRE((*place.loadConfig("server: 'https://c'", exec + "p}"))->authorization().ok());
  CHECK(place.runs[0].argv[0] == (place.directory / "./bin/p"));
  CHECK(place.runs[1].argv[0] == "p");
}

TEST_CASE("a credential is kept until shortly before it expires, one without expiry until it is refused") {
  Plugin place;
  place.expires = "2026-11-24T03:10:00Z";  // in ten minutes
  const auto credentials = place.with();
  CHECK(*credentials->authorization() == "Bearer t1");
  REQUIRE(credentials->transport().ok());
  CHECK(place.runs.size() == 1);
  place.next = "2";
  place.clock.advance(Millis(9 * 60000 + 49999));
  CHECK(*credentials->authorization() == "Bearer t1");
  place.clock.advance(Millis(1));
  place.expires = "";
  CHECK(*credentials->authorization() == "Bearer t2");
  place.next = "3";
  place.clock.advance(Millis(24 * 3600000));
  CHECK(*credentials->authorization() == "Bearer t2");
  CHECK(place.runs.size() == 2);
}

TEST_CASE("given a 401, then the plugin runs again unless its credential is newer than the request") {
  Plugin place;
  const auto credentials = place.with();
  CHECK(*credentials->authorization() == "Bearer t1");
  place.next = "2";
  credentials->rejected(place.clock.now() - Millis(1));
  CHECK(*credentials->authorization() == "Bearer t1");
  credentials->rejected(place.clock.now());
  CHECK(*credentials->authorization() == "Bearer t2");
}

TEST_CASE("given a plugin that gives certificates, then the transport uses them and follows when they change") {
  Setting place;
  auto pair = material::makePair("one");
  place.plugin = [&](const PluginCommand&) -> Result<std::string> {
    return printed({{"clientCertificateData", pair.certificate}, {"clientKeyData", pair.key}});
  };
  const auto credentials = *place.loadConfig("server: 'https://c'", user());
  const auto first = *credentials->transport();
  CHECK(place.made[0].tls.keyPem == pair.key);
  CHECK(*credentials->authorization() == "");
  pair = material::makePair("two");
  CHECK(*credentials->transport() == first);
  credentials->rejected(place.clock.now());
  CHECK(*credentials->transport() != first);
  CHECK(place.made[1].tls.certificatePem == pair.certificate);
}

TEST_CASE("given output that is no credential, then the error says what is wrong with it and shows nothing of it") {
  const auto one = material::makePair("one"), two = material::makePair("two");
  struct Row {
    std::string output;
    const char* says;
  };
  const Row rows[] = {
      {"s3cret", "is no ExecCredential"},
      {"", "is no ExecCredential"},
      {R"({"kind":"Token","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"s3cret"}})",
       "is no ExecCredential"},
      {printed({{"token", "s3cret"}}, "client.authentication.k8s.io/v1beta1"), "another apiVersion"},
      {R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"})", "has no status"},
      {printed(json::object()), "neither a token nor a certificate"},
      {printed({{"token", 5}}), "neither a token nor a certificate"},
      {printed({{"clientKeyData", "s3cret"}}), "not both"},
      {printed({{"clientCertificateData", one.certificate}, {"clientKeyData", two.key}}), "does not belong"},
      {printed({{"clientCertificateData", "s3cret"}, {"clientKeyData", one.key}}), "no PEM certificate"},
      {printed({{"clientCertificateData", one.certificate}, {"clientKeyData", "s3cret"}}), "no unencrypted PEM key"},
      {printed({{"token", "s3cret"}, {"expirationTimestamp", "tomorrow"}}), "no RFC 3339 time"},
  };
  for (const Row& row : rows) {
    INFO(row.output);
    Setting place;
    place.plugin = [&](const PluginCommand&) -> Result<std::string> { return row.output; };
    const auto credentials = *place.loadConfig("server: 'https://c'", user());
    for (const auto& error : {credentials->authorization().error(), credentials->transport().error()}) {
      CHECK(error.code == ErrorCode::Unauthorized);
      CHECK_THAT(error.message, Contains(row.says) && Contains("context \"c\"") && !Contains("s3cret"));
    }
  }
}

TEST_CASE("given a plugin that is not installed, then the hint says how to get it") {
  Setting place;
  const auto credentials = *place.loadConfig("server: 'https://c'", user("installHint: 'install it from the shop'"));
  const auto error = credentials->authorization().error();
  CHECK(error.code == ErrorCode::Unauthorized);
  CHECK_THAT(error.message, Contains("no such program") && Contains("install it from the shop"));
}

TEST_CASE("given many threads that need a credential, then the plugin runs once and all get its answer") {
  for (const bool fails : {false, true}) {
    Setting place;
    std::atomic<int> waiting{0}, running{0}, runs{0}, tokens{0}, errors{0};
    constexpr int kThreads = 8;
    place.options.runPlugin = [&](const PluginCommand&) -> Result<std::string> {
      CHECK(++running == 1);
      ++runs;
      while (waiting < kThreads) std::this_thread::yield();  // until everybody has asked
      --running;
      if (fails) return Error{ErrorCode::Unavailable, "broken"};
      return printed({{"token", "t"}});
    };
    const auto credentials = *place.loadConfig("server: 'https://c'", user());
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        ++waiting;
        credentials->authorization() ? ++tokens : ++errors;
      });
    }
    for (auto& each : threads) each.join();
    if (!fails) {
      CHECK(runs == 1);
      CHECK(tokens == kThreads);
    } else {
      CHECK(errors == kThreads);  // who asked after the failure may have run it again, but never two at once
    }
  }
}

// The real runner, with programs every system has.
struct Real : Setting {
  Real() { options.runPlugin = nullptr; }
  std::string script(const std::string& body) { return directory.write("plugin.sh", "#!/bin/sh\n" + body); }
  Result<std::string> token(const std::string& body) {
    const std::string path = script(body);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    const auto loaded =
        loadConfig("server: 'https://c'", std::string("exec: {apiVersion: ") + kV1 +
                                              ", command: ./plugin.sh, args: [one, 'two words'], "
                                              "env: [{name: PLUGIN_WORD, value: hello}], interactiveMode: Never}");
    REQUIRE(loaded.ok());
    return (*loaded)->authorization();
  }
};

TEST_CASE("given a real program, then its arguments, environment and empty input reach it and its output comes back") {
  Real place;
  const auto header = place.token(R"(
read -r line && exit 9
case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) exit 8 ;; esac
[ "$#" = 2 ] && [ "$2" = "two words" ] || exit 7
[ -n "$PATH" ] || exit 6
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$PLUGIN_WORD-$1"
)");
  REQUIRE(header.ok());
  CHECK(*header == "Bearer hello-one");
}

TEST_CASE("given a real program that connects by itself, then it trusts whom the system trusts, not nobody as we do") {
  std::string wanted;
  for (const auto& [name, value] : http::trustEnvironment()) {
    wanted += (wanted.empty() ? "" : ",") + value.value_or("unset");
  }
  http::initializeTransport(1);
  REQUIRE(std::string(getenv("SSL_CERT_FILE")) == "/dev/null");  // ours, for a reason
  Real place;
  const auto header = place.token(R"(
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' \
  "${SSL_CERT_FILE-unset},${SSL_CERT_DIR-unset}"
)");
  REQUIRE(header.ok());
  CHECK(*header == "Bearer " + wanted);
}

TEST_CASE("given a real program that fails, is ended or talks without end, then the error says so") {
  struct Row {
    const char* body;
    const char* says;
  };
  for (const Row& row : {Row{"echo s3cret; exit 3", "exit code 3"}, Row{"kill -TERM $$", "signal 15"},
                         Row{"exec yes s3cret", "more than 1 MiB"}}) {
    INFO(row.body);
    Real place;
    const auto header = place.token(row.body);
    REQUIRE_FALSE(header.ok());
    CHECK_THAT(header.error().message, Contains(row.says) && Contains("plugin.sh") && !Contains("s3cret"));
  }
}

TEST_CASE(
    "given a real program that does not end, or leaves a child that holds its output, then all of them are killed at "
    "the deadline") {
  for (const char* body : {"echo $$ > \"$0.pid\"; exec sleep 600", "sleep 600 & echo $! > \"$0.pid\"; exit 0",
                           "exec >/dev/null; echo $$ > \"$0.pid\"; exec sleep 600"}) {
    INFO(body);
    Real place;
    place.options.pluginDeadline = Millis(300);
    const auto header = place.token(body);
    REQUIRE_FALSE(header.ok());
    CHECK_THAT(header.error().message, Contains("did not end within 300 ms and was killed"));
    pid_t pid = 0;
    std::ifstream(place.directory / "plugin.sh.pid") >> pid;
    REQUIRE(pid > 1);
    // The signal is on its way; a child that lost its parent is then reaped by somebody else, some time.
    const auto alive = [&] {
      std::string state;
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      stat >> state >> state >> state;
      return !state.empty() && state != "Z" && state != "X";
    };
    for (int i = 0; i < 10000000 && alive(); ++i) std::this_thread::yield();
    CHECK_FALSE(alive());
  }
}

TEST_CASE("given a program that is not there or not executable, then it is an error, not a crash") {
  Real place;
  const auto absent = place.loadConfig(
      "server: 'https://c'", std::string("exec: {apiVersion: ") + kV1 +
                                 ", command: no-such-program-here, installHint: get it, interactiveMode: Never}");
  CHECK_THAT((*absent)->authorization().error().message, Contains("No such file") && Contains("get it"));
}

}  // namespace
}  // namespace rollback::kube
