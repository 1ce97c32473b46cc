#include "mover/digest.h"

#include <openssl/evp.h>

namespace rollback::mover {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) { EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr); }
Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) { EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()); }

std::string Sha256::hex() {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->context, out, &length);
  return toHex({reinterpret_cast<char*>(out), length});
}

std::string sha256Hex(std::string_view bytes) {
  Sha256 sum;
  sum.update(bytes);
  return sum.hex();
}

std::string contentDigest(std::string_view bytes) { return "sha256:" + sha256Hex(bytes); }

std::string toHex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
  return out;
}

Result<std::string> fromHex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    const int high = nibble(hex[i]), low = nibble(hex[i + 1]);
    if (high < 0 || low < 0) return Error{ErrorCode::BadInput, "a digit that is not hexadecimal"};
    out += static_cast<char>(high * 16 + low);
  }
  if (hex.size() % 2) return Error{ErrorCode::BadInput, "an odd number of hexadecimal digits"};
  return out;
}

std::string toBase64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

Result<std::string> scryptHex(const std::string& secret, const std::string& salt, ScryptCost cost) {
  const bool powerOfTwo = cost.n > 1 && (cost.n & (cost.n - 1)) == 0;
  if (!powerOfTwo || cost.n > (1u << 20) || cost.r < 1 || cost.r > 16 || cost.p < 1 || cost.p > 16)
    return Error{ErrorCode::BadInput, "scrypt parameters out of range"};
  unsigned char out[32];
  const std::uint64_t memory = 128 * cost.n * cost.r + 128 * cost.r * cost.p + (1u << 20);
  if (EVP_PBE_scrypt(secret.data(), secret.size(), reinterpret_cast<const unsigned char*>(salt.data()), salt.size(),
                     cost.n, cost.r, cost.p, memory, out, sizeof out) != 1)
    return Error{ErrorCode::Internal, "scrypt failed"};
  return toHex({reinterpret_cast<char*>(out), sizeof out});
}

}  // namespace rollback::mover
