#include "setting.h"

#include <cstdlib>
#include <mutex>
#include <stdexcept>

extern "C" [[gnu::weak]] void __lsan_do_leak_check();  // there in a build with LeakSanitizer only

namespace rollback::http::testing {
namespace {

// Looks for leaks while the library's threads still run, not after they are gone as LeakSanitizer does by itself: what
// a cancelled request is still told in them, and what OpenSSL keeps for each, is lost at the end of the process only.
void lookForLeaks() {
  if (__lsan_do_leak_check != nullptr) __lsan_do_leak_check();
}

}  // namespace

std::shared_ptr<Transport> transportTo(const TransportConfig& config, const Clock& clock) {
  static std::once_flag once;
  std::call_once(once, [] {
    initializeTransport(2);
    std::atexit(lookForLeaks);  // before the threads end: they began earlier
  });
  auto made = makeTransport(config, clock);
  if (!made) throw std::runtime_error(made.error().message);
  return *made;
}

std::shared_ptr<Transport> transportTo(const std::string& origin, const Clock& clock) {
  TransportConfig config;
  config.origin = origin;
  return transportTo(config, clock);
}

Deadline ample(const Clock& clock) { return Deadline::after(clock, Millis(60'000)); }

Request get(const std::string& target) { return Request{"GET", target, {}, ""}; }

}  // namespace rollback::http::testing
