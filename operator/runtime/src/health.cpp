#include "runtime/health.h"

#include <algorithm>
#include <exception>
#include <string_view>

namespace rollback::runtime {
namespace {

Result<void> run(const Health::Check& check) {
  try {
    return check();
  } catch (const std::exception& thrown) {
    return Error{ErrorCode::Internal, std::string("the check threw: ") + thrown.what()};
  }
}

std::string line(const std::string& name, const Result<void>& result) {
  return result ? "[+]" + name + " ok\n" : "[-]" + name + " failed: " + result.error().message + "\n";
}

struct Query {
  bool verbose = false;
  std::vector<std::string> excluded;
};

// Nothing here needs percent-decoding: names of checks are plain, and an unknown one is ignored as kube-apiserver does.
Query parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kExclude = "exclude=";
    if (part == "verbose" || part.substr(0, 8) == "verbose=") query.verbose = true;
    if (part.substr(0, kExclude.size()) == kExclude) query.excluded.emplace_back(part.substr(kExclude.size()));
  }
  return query;
}

http::ServerAnswer text(int status, std::string body) { return {status, "text/plain; charset=utf-8", std::move(body)}; }

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
  const std::string wanted = path.empty() ? "" : path.substr(1);
  if (!wanted.empty()) {
    const auto found = std::find_if(checks.begin(), checks.end(), [&](const auto& each) { return each.first == wanted; });
    if (found == checks.end()) return text(404, name_ + " has no such check\n");
    const Result<void> result = run(found->second);
    return result ? text(200, "ok") : text(500, line(found->first, result));
  }
  const Query options = parse(query);
  bool healthy = true;
  std::string lines;
  for (const auto& [name, check] : checks) {
    if (std::count(options.excluded.begin(), options.excluded.end(), name) != 0) {
      lines += "[+]" + name + " excluded: ok\n";
      continue;
    }
    const Result<void> result = run(check);
    healthy = healthy && result.ok();
    lines += line(name, result);
  }
  if (!healthy) return text(500, lines + name_ + " check failed\n");
  return text(200, options.verbose ? lines + name_ + " check passed\n" : "ok");
}

}  // namespace rollback::runtime
