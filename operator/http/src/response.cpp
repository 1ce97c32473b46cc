#include "http/transport.h"

namespace rollback::http {

std::string_view Response::header(std::string_view name) const {
  for (const auto& [each, value] : headers) {
    if (each == name) return value;
  }
  return {};
}

}  // namespace rollback::http
