#include "certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace rollback::http::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

std::string textOf(const Bio& bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("OpenSSL refuses the extension " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Identity make(const Identity* authority, const std::string& commonName, const std::string& alternativeNames) {
  static std::atomic<long> serial{1000};
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate made(X509_new(), X509_free);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 24 * 3600);
  X509_set_pubkey(made.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(commonName.c_str()), -1, -1, 0);
  Certificate issuer(nullptr, X509_free);
  Key issuerKey(nullptr, EVP_PKEY_free);
  if (authority != nullptr) {
    const Bio certificate(BIO_new_mem_buf(authority->certificatePem.c_str(), -1), BIO_free_all);
    const Bio keyText(BIO_new_mem_buf(authority->keyPem.c_str(), -1), BIO_free_all);
    issuer.reset(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
    issuerKey.reset(PEM_read_bio_PrivateKey(keyText.get(), nullptr, nullptr, nullptr));
  }
  X509* by = issuer ? issuer.get() : made.get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(by));
  extend(made.get(), by, NID_basic_constraints, authority == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!alternativeNames.empty()) extend(made.get(), by, NID_subject_alt_name, alternativeNames);
  if (X509_sign(made.get(), issuerKey ? issuerKey.get() : key.get(), EVP_sha256()) == 0) {
    throw std::runtime_error("OpenSSL did not sign the certificate of " + commonName);
  }
  const Bio certificate(BIO_new(BIO_s_mem()), BIO_free_all);
  const Bio keyText(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(certificate.get(), made.get());
  PEM_write_bio_PrivateKey(keyText.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {textOf(certificate), textOf(keyText)};
}

}  // namespace

Identity makeAuthority(const std::string& commonName) { return make(nullptr, commonName, ""); }

Identity issue(const Identity& authority, const std::string& commonName, const std::string& alternativeNames) {
  return make(&authority, commonName, alternativeNames);
}

}  // namespace rollback::http::testing
