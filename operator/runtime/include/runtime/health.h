// Health: named checks behind /healthz or /readyz, in the format of kube-apiserver's.
//
//   /readyz              200 "ok", or 500 and a line per check
//   /readyz?verbose      a line per check in any case
//   /readyz/caches       one check; 404 if there is none of that name
//   /readyz?exclude=x    without that one
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/server.h"

namespace rollback::runtime {

// Thread-safe.
class Health {
 public:
  using Check = std::function<Result<void>()>;  // must not block; its message is shown to whoever asks: no secrets

  explicit Health(std::string name) : name_(std::move(name)) {}  // "healthz"
  void add(std::string name, Check check);
  // `path` is what follows "/healthz": "", "/" or "/check".
  http::ServerAnswer answer(const std::string& path, const std::string& query) const;

 private:
  const std::string name_;
  mutable std::mutex mutex_;  // guards checks_
  std::vector<std::pair<std::string, Check>> checks_;
};

}  // namespace rollback::runtime
