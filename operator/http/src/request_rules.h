// What a request must keep to before it is handed to a library that checks none of it: a line break in a token file
// would otherwise become a header of its own.
#pragma once

#include "base/result.h"
#include "http/transport.h"

namespace rollback::http {

// BadInput for a method that is no token, a target that is no absolute path, a header whose name is no token, whose
// value holds a control character, or that the transport sets itself (Host, Content-Length, Transfer-Encoding,
// Connection). The message never holds a header's value.
Result<void> checkRequest(const Request& request);

bool holdsControlCharacter(std::string_view text);

// "GET https://host:6443/api/v1/pods": the query is left out, it may be long.
std::string nameOf(const Request& request, const std::string& origin);

std::string lowerCase(std::string_view text);

}  // namespace rollback::http
