#include "setting.h"

#include <openssl/crypto.h>

#include <mutex>
#include <stdexcept>

namespace rollback::http::testing {
namespace {

// The library joins its threads after OpenSSL would have cleaned up, and what OpenSSL keeps for each of them would then
// look leaked to a sanitizer. Before main(), since the first use of OpenSSL decides.
[[maybe_unused]] const int withoutCleanup = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

}  // namespace

std::shared_ptr<Transport> transportTo(const TransportConfig& config, const Clock& clock) {
  static std::once_flag once;
  std::call_once(once, [] { initializeTransport(2); });
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
