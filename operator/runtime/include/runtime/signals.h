// SIGTERM and SIGINT as a CancelToken. The first asks for an orderly stop, the second ends the process at once, status
// 1 (controller-runtime pkg/manager/signals).
#pragma once

#include <functional>
#include <thread>

#include "http/transport.h"

namespace rollback::runtime {

// Make it before any other thread exists: they inherit the blocked signals. One per process.
class StopSignals {
 public:
  // `onSecond` is what the second signal does; the default ends the process.
  explicit StopSignals(std::function<void()> onSecond = {});
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  const http::CancelToken& token() const { return token_; }

 private:
  http::CancelToken token_;
  int signals_ = -1;  // signalfd
  int wake_ = -1;     // eventfd: the destructor
  std::thread thread_;
};

}  // namespace rollback::runtime
