// Certificates made at run time: an authority, and what it issues. PEM texts.
#pragma once

#include <string>

namespace rollback::http::testing {

struct Identity {
  std::string certificatePem;
  std::string keyPem;
};

// A self-signed authority of that common name.
Identity makeAuthority(const std::string& commonName);

// Issued by `authority`; `alternativeNames` as OpenSSL writes them: "IP:127.0.0.1,DNS:api.internal", or empty.
Identity issue(const Identity& authority, const std::string& commonName, const std::string& alternativeNames);

}  // namespace rollback::http::testing
