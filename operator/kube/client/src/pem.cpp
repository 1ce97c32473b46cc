#include "pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

namespace rollback::kube {

namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

BioPtr reader(const std::string& text) { return {BIO_new_mem_buf(text.data(), int(text.size())), BIO_free}; }

X509Ptr nextCertificate(BIO* from) { return {PEM_read_bio_X509(from, nullptr, nullptr, nullptr), X509_free}; }

// Without it OpenSSL asks for a pass phrase on the terminal.
int noPassphrase(char*, int, int, void*) { return -1; }

Error bad(const char* what) { return Error{ErrorCode::BadInput, what}; }

}  // namespace

Result<void> checkCertificates(const std::string& pem) {
  const BioPtr from = reader(pem);
  int count = 0;
  while (nextCertificate(from.get())) ++count;
  const unsigned long fault = ERR_peek_last_error();
  ERR_clear_error();
  // The end of the text is reported as "no start line".
  const bool ended = ERR_GET_LIB(fault) == ERR_LIB_PEM && ERR_GET_REASON(fault) == PEM_R_NO_START_LINE;
  if (count == 0) return bad("it holds no PEM certificate");
  if (!ended) return bad("one of its PEM certificates is malformed");
  return {};
}

Result<void> checkKeyPair(const std::string& certificatePem, const std::string& keyPem) {
  const BioPtr certificateText = reader(certificatePem), keyText = reader(keyPem);
  const X509Ptr certificate = nextCertificate(certificateText.get());
  const KeyPtr key{PEM_read_bio_PrivateKey(keyText.get(), nullptr, noPassphrase, nullptr), EVP_PKEY_free};
  const bool match = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!certificate) return bad("the client certificate is no PEM certificate");
  if (!key) return bad("the client key is no unencrypted PEM key");
  if (!match) return bad("the client key does not belong to the client certificate");
  return {};
}

Result<std::string> decodeBase64(const std::string& text) {
  std::string packed;
  std::copy_if(text.begin(), text.end(), std::back_inserter(packed),
               [](char c) { return c != '\n' && c != '\r' && c != ' ' && c != '\t'; });
  const auto malformed = bad("it is not base64");
  if (packed.size() % 4 != 0) return malformed;
  if (packed.empty()) return std::string();
  const std::size_t body = packed.find_last_not_of('=') + 1;
  const std::size_t padding = packed.size() - body;
  if (padding > 2 || packed.find('=') < body) return malformed;  // EVP takes '=' for zero bits anywhere
  std::string bytes(packed.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(packed.data()), int(packed.size()));
  if (size < 0) return malformed;
  bytes.resize(std::size_t(size) - padding);
  return bytes;
}

std::string encodeBase64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP writes a final NUL
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()), int(bytes.size()));
  text.resize(std::size_t(size));
  return text;
}

}  // namespace rollback::kube
