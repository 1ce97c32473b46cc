// Judging PEM material before a transport is built from it: a file caught in the middle of a rotation is refused here,
// and the transport that works stays. Pure, thread-safe.
#pragma once

#include <string>

#include "base/result.h"

namespace rollback::kube {

// BadInput unless there is at least one certificate and every certificate block is one.
Result<void> checkCertificates(const std::string& pem);
// BadInput unless the first certificate and the (unencrypted) key belong together.
Result<void> checkKeyPair(const std::string& certificatePem, const std::string& keyPem);
// Standard base64, line breaks allowed. BadInput otherwise.
Result<std::string> decodeBase64(const std::string& text);
std::string encodeBase64(const std::string& bytes);

}  // namespace rollback::kube
