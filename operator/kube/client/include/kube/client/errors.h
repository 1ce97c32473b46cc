// From an answer that is not 2xx to an Error: the API server's Status object, where there is one, decides.
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/transport.h"

namespace rollback::kube {

// Reason of an Expired error that says "not yet" instead of "no longer": the server has not seen that resourceVersion.
// Either way the caller starts again without one, hence one code (client-go tools/cache/reflector.go).
inline constexpr const char* kTooLargeResourceVersion = "ResourceVersionTooLarge";

// `body` is the answer's, which may be a Status, a proxy's HTML page or nothing. Status.reason decides before the HTTP
// status does. `retryAfter` is the Retry-After header's, else details.retryAfterSeconds. The message is the Status',
// cut at 2 KiB; a body that is no Status is never quoted, because nobody knows what it holds. A pure function.
Error statusError(int httpStatus, std::string_view body, const http::Headers& headers);

}  // namespace rollback::kube
