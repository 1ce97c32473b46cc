// Trust: the TLS material of one origin, parsed and checked once, put into the context of each new connection.
// Immutable after make(), so any thread may use it.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "http/transport.h"

namespace rollback::http {

class Trust {
 public:
  // `host` is what the server's certificate must name: TlsConfig::serverName, or the host of the origin.
  // BadInput when the PEM does not parse, holds nothing of use, or the key is not the certificate's.
  static Result<std::shared_ptr<const Trust>> make(const TlsConfig& config, const std::string& host);

  // False when OpenSSL refuses, which make() has made improbable; the connection must then not be used.
  bool apply(SSL_CTX* context) const;

 private:
  template <typename T, void (*release)(T*)>
  struct Free {
    void operator()(T* each) const { release(each); }
  };
  using Store = std::unique_ptr<X509_STORE, Free<X509_STORE, X509_STORE_free>>;
  using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
  using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
  using Bio = std::unique_ptr<BIO, Free<BIO, BIO_free_all>>;
  using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX, SSL_CTX_free>>;
  struct FreeChain {
    void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
  };
  using Chain = std::unique_ptr<STACK_OF(X509), FreeChain>;

  static Chain readCertificates(const std::string& pem);

  Store store_;
  Certificate certificate_;  // with chain_ and key_: the client certificate, null if there is none
  Chain chain_;              // what goes between it and its root
  Key key_;
  std::string host_;
  bool verify_ = true;
};

// Where OpenSSL looked for the system's certificate authorities before initializeTransport() turned it away.
struct SystemTrust {
  std::string file;
  std::string directory;
  std::optional<std::string> fileVariable;  // of the environment; not set: the default holds
  std::optional<std::string> directoryVariable;
};
const SystemTrust& systemTrust();

}  // namespace rollback::http
