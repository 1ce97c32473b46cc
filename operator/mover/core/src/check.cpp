// check: is the application well on its data? Health over HTTP, the schema level and the class's invariants of live,
// and after a switch which databases have the names of live and of the previous one. The operator judges.
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "mover/content.h"
#include "mover/outcome.h"
#include "mover/server.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

constexpr Millis kProbeEvery{1000};
constexpr Millis kProbeTime{10 * 1000};  // one request

struct Health {
  bool ok = false;
  std::string message;
};

bool accepts(const HealthUrl& url, int status) {
  if (url.status.empty()) return status >= 200 && status < 400;
  return std::find(url.status.begin(), url.status.end(), status) != url.status.end();
}

// All of them round by round, each until it is well or its own time is over: together they take as long as the slowest.
std::vector<Health> probeAll(const Task& task, Environment& env, Deadline deadline) {
  std::vector<Health> out(task.health.size());
  const MonoTime began = env.clock.now();
  for (;;) {
    bool waiting = false;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i].ok) continue;
      const auto& url = task.health[i];
      const Deadline own{began + std::chrono::seconds(url.timeoutSeconds)};
      if (!out[i].message.empty() && own.expired(env.clock)) continue;
      auto status = env.http.get(url.url, deadline.earlier(Deadline::after(env.clock, kProbeTime)));
      out[i].ok = status && accepts(url, *status);
      out[i].message = status ? "GET " + url.url + " answered " + std::to_string(*status) : status.error().message;
      waiting = waiting || (!out[i].ok && !own.expired(env.clock));
      env.progress.report(0, 0, "", "waiting for " + url.name);
    }
    if (!waiting || deadline.expired(env.clock) || env.stop.requested()) return out;
    env.waiter.sleep(kProbeEvery);
  }
}

// An invariant has a minimum, or answers true or false; any other value is only recorded.
bool holds(const CheckQuery& query, const CheckRecord& answer) {
  if (!answer.error.empty() || answer.value == "f") return false;
  if (!query.min) return true;
  char* end = nullptr;
  const double value = std::strtod(answer.value.c_str(), &end);
  return end != answer.value.c_str() && *end == '\0' && value >= *query.min;
}

Result<std::unique_ptr<Session>> openLive(const Task& task, Environment& env, Deadline deadline) {
  SessionOptions options;
  options.readOnly = true;
  for (;;) {
    auto session = env.database.open(task.postgres.database, Login::App, options, deadline);
    if (session || session.error().code != ErrorCode::Unavailable || deadline.expired(env.clock) ||
        env.stop.requested())
      return session;
    env.waiter.sleep(kProbeEvery);
  }
}

}  // namespace

Outcome check(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds));
  using nlohmann::json;
  json result = {{"health", json::array()}, {"schema", json::object()}, {"invariants", json::array()}};
  const auto health = probeAll(task, env, deadline);
  for (std::size_t i = 0; i < health.size(); ++i)
    result["health"].push_back({{"name", task.health[i].name},
                                {"ok", health[i].ok},
                                {"status", health[i].ok ? "Healthy" : "Unhealthy"},
                                {"message", health[i].message}});

  if (task.postgres.database.empty()) return succeeded(result.dump());  // of an application without a database
  auto session = openLive(task, env, deadline.earlier(Deadline::after(env.clock, std::chrono::seconds(60))));
  if (!session) return refused(session.error());
  auto schema = schemaLevel(**session, task.schemaQuery, deadline);
  if (!schema) return refused(schema.error());
  auto structure = structureLines(**session, deadline);
  if (!structure) return refused(structure.error());
  result["schema"] = {{"state", schema->known() ? "Known" : "Unknown"},
                      {"reason", schema->unknownReason},
                      {"count", schema->names.size()},
                      {"digest", schema->digest},
                      {"structureDigest", linesDigest(*structure)}};
  if (!task.names.prev.empty()) {
    auto seen = databasesSeen(**session, deadline);
    if (!seen) return refused(seen.error());
    result["databases"] = json::array();
    for (const std::string& name : {task.postgres.database, task.names.prev})
      if (const auto found = seen->find(name); found != seen->end())
        result["databases"].push_back(
            {{"name", name}, {"oid", found->second.oid}, {"allowConnections", found->second.allowConnections}});
  }
  auto answers = answerChecksAlone(**session, task.checks, deadline);
  if (!answers) return refused(answers.error());
  for (std::size_t i = 0; i < answers->size(); ++i) {
    const auto& answer = (*answers)[i];
    result["invariants"].push_back({{"name", answer.name},
                                    {"value", answer.error.empty() ? answer.value : "error: " + answer.error},
                                    {"ok", holds(task.checks[i], answer)}});
  }
  return succeeded(result.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace rollback::mover
