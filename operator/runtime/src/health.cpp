#include "runtime/health.h"

#include <algorithm>

namespace rollback::runtime {
namespace {

struct Query {
  bool verbose = false;
  std::vector<std::string> exclude;
};

// Check names are plain words, so nothing is percent-decoded.
Query parse(const std::string& query) {
  Query out;
  std::size_t at = 0;
  while (at < query.size()) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string each = query.substr(at, end - at);
    const std::size_t equals = each.find('=');
    const std::string key = each.substr(0, equals);
    if (key == "verbose") out.verbose = true;
    if (key == "exclude" && equals != std::string::npos) out.exclude.push_back(each.substr(equals + 1));
    at = end + 1;
  }
  return out;
}

}  // namespace

void Health::add(std::string name, Check check) {
  const std::lock_guard<std::mutex> hold(mutex_);
  checks_.emplace_back(std::move(name), std::move(check));
}

http::ServerAnswer Health::answer(const std::string& path, const std::string& query) const {
  std::vector<std::pair<std::string, Check>> checks;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    checks = checks_;
  }
  http::ServerAnswer answer;
  const std::string only = path.empty() || path == "/" ? "" : path.substr(1);
  if (only == "ping") {  // always there, and always fine: somebody answered
    answer.body = "ok";
    return answer;
  }
  const Query asked = parse(query);
  bool known = only.empty(), fine = true;
  std::string lines = only.empty() ? "[+]ping ok\n" : "";
  for (const auto& [name, check] : checks) {
    if (!only.empty() && name != only) continue;
    known = true;
    if (std::find(asked.exclude.begin(), asked.exclude.end(), name) != asked.exclude.end()) {
      lines += "[+]" + name + " excluded: ok\n";
      continue;
    }
    const Result<void> result = check();
    lines += result ? "[+]" + name + " ok\n" : "[-]" + name + " failed: " + result.error().message + "\n";
    fine = fine && result.ok();
  }
  if (!known) {
    answer.status = 404;
    answer.body = name_ + " has no check '" + only + "'\n";
    return answer;
  }
  answer.status = fine ? 200 : 500;
  answer.body = fine && !asked.verbose ? "ok" : lines + name_ + (fine ? " check passed\n" : " check failed\n");
  return answer;
}

}  // namespace rollback::runtime
