// Runnable: something with a life of its own that a Manager starts on a thread and stops. (controller-runtime's word.)
#pragma once

#include <string>

#include "base/result.h"
#include "http/transport.h"

namespace rollback::runtime {

class Runnable {
 public:
  virtual ~Runnable() = default;
  virtual std::string name() const = 0;
  // Called once, on a thread of its own; returns soon after `stop` is set. An error ends the program: whatever can be
  // tried again is tried again inside.
  virtual Result<void> run(const http::CancelToken& stop) = 0;
};

}  // namespace rollback::runtime
