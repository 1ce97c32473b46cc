#include "trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <utility>

namespace rollback::http {
namespace {

std::optional<std::string> environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::string environmentOr(const char* variable, const char* otherwise) {
  const auto value = environment(variable);
  return value && !value->empty() ? *value : otherwise;
}

// A key under a passphrase would otherwise make OpenSSL ask for it on the terminal.
int noPassphrase(char*, int, int, void*) { return -1; }

Error bad(const std::string& what) {
  ERR_clear_error();
  return Error{ErrorCode::BadInput, "preparing TLS: " + what};
}

}  // namespace

// The only thing in this library that outlives its objects: the environment is the process's, and it can be read
// only before initializeTransport() changes it.
const SystemTrust& systemTrust() {
  static const SystemTrust before{environmentOr(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
                                  environmentOr(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()),
                                  environment(X509_get_default_cert_file_env()),
                                  environment(X509_get_default_cert_dir_env())};
  return before;
}

Trust::Chain Trust::readCertificates(const std::string& pem) {
  Chain all(sk_X509_new_null());
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!all || !bio) return nullptr;
  while (X509* each = PEM_read_bio_X509(bio.get(), nullptr, noPassphrase, nullptr)) {
    if (sk_X509_push(all.get(), each) == 0) {
      X509_free(each);
      return nullptr;
    }
  }
  // The end of the text is the one failure that is expected; a block cut in half is not.
  const unsigned long why = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE) return nullptr;
  if (sk_X509_num(all.get()) == 0) return nullptr;
  return all;
}

Result<std::shared_ptr<const Trust>> Trust::make(const TlsConfig& config, const std::string& host) {
  ERR_clear_error();
  auto trust = std::make_shared<Trust>();
  trust->host_ = host;
  trust->verify_ = !config.insecureSkipVerify;
  trust->store_.reset(X509_STORE_new());
  if (!trust->store_) return Error{ErrorCode::Internal, "preparing TLS: OpenSSL could not make a certificate store"};
  if (!config.caPem.empty()) {
    const Chain authorities = readCertificates(config.caPem);
    if (!authorities) return bad("the certificate authority is not PEM certificates; check certificate-authority");
    for (int i = 0; i < sk_X509_num(authorities.get()); ++i) {
      if (X509_STORE_add_cert(trust->store_.get(), sk_X509_value(authorities.get(), i)) != 1) {
        return bad("a certificate authority could not be added to the store");
      }
    }
  } else if (trust->verify_) {
    // A missing file or directory is no error: then nothing is trusted, and the handshake says so.
    X509_STORE_load_file(trust->store_.get(), systemTrust().file.c_str());
    X509_STORE_load_path(trust->store_.get(), systemTrust().directory.c_str());
    ERR_clear_error();
  }
  if (config.certificatePem.empty() != config.keyPem.empty()) {
    return bad("a client certificate needs its key, and a key its certificate; give both or neither");
  }
  if (!config.certificatePem.empty()) {
    trust->chain_ = readCertificates(config.certificatePem);
    if (!trust->chain_) return bad("the client certificate is not PEM certificates; check client-certificate");
    trust->certificate_.reset(sk_X509_shift(trust->chain_.get()));
    const Bio bio(BIO_new_mem_buf(config.keyPem.data(), static_cast<int>(config.keyPem.size())));
    trust->key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, noPassphrase, nullptr));
    if (!trust->key_) return bad("the client key is not a PEM private key without passphrase; check client-key");
    if (X509_check_private_key(trust->certificate_.get(), trust->key_.get()) != 1) {
      return bad("the client key is not that of the client certificate; give the pair that was issued together");
    }
  }
  const Context trial(SSL_CTX_new(TLS_client_method()));
  if (!trial || !trust->apply(trial.get())) {
    return bad("OpenSSL refuses the material, as it does keys that are too short; issue a new certificate");
  }
  return std::shared_ptr<const Trust>(std::move(trust));
}

bool Trust::apply(SSL_CTX* context) const {
  SSL_CTX_set1_cert_store(context, store_.get());  // instead of what the library put there: the system's store
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) return false;
  if (verify_) {
    // OpenSSL's own check of the name, beside the one of Boost, which falls back to the common name although the
    // certificate has alternative names (RFC 6125 6.4.4 forbids it).
    X509_VERIFY_PARAM* rules = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host_.c_str()) != 1 &&
        X509_VERIFY_PARAM_set1_host(rules, host_.data(), host_.size()) != 1) {
      return false;
    }
  }
  if (certificate_) {
    if (SSL_CTX_use_cert_and_key(context, certificate_.get(), key_.get(), chain_.get(), 1) != 1) return false;
  }
  ERR_clear_error();  // of set1_ip_asc, which fails for every name
  return true;
}

}  // namespace rollback::http
