// What cpprestsdk says went wrong, as one of our error codes. Its exceptions carry a text for the step that failed and
// an error number whose category is lost, so both are read here, and only here.
#pragma once

#include <string>

#include "base/result.h"

namespace rollback::http {

struct LibraryFailure {
  bool headSeen = false;  // status and headers had arrived
  std::string text;       // what() of the exception: the step
  int number = 0;         // errno, or a packed OpenSSL error; 0: none
  bool stale = false;     // the pooled connection turned out closed before a byte of the request was written
};

// `what` names the request, "GET https://10.97.0.1:6443/version".
Error toError(const LibraryFailure& failure, const std::string& what);

}  // namespace rollback::http
