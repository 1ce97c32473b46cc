// HttpProbe over Boost.Beast: plain http, one request a connection.
#pragma once

#include "mover/environment.h"

namespace rollback::mover {

struct UrlParts {
  std::string host, port, target;
};
// "http://host[:port]/path?query". BadInput (UrlUnsupported): another scheme, a user, a control character.
Result<UrlParts> splitUrl(const std::string& url);

class BeastHttp final : public HttpProbe {
 public:
  explicit BeastHttp(const Clock& clock) : clock_(clock) {}
  Result<int> get(const std::string& url, Deadline deadline) override;

 private:
  const Clock& clock_;
};

}  // namespace rollback::mover
