// SHA-256 and scrypt (OpenSSL). Digests of content are written "sha256:<hex>"; in SHA256SUMS the bare hex.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rollback::mover {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::string_view bytes);
  std::string hex();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256Hex(std::string_view bytes);
std::string contentDigest(std::string_view bytes);  // "sha256:<hex>"
std::string toHex(std::string_view bytes);
// Fails if `hex` is not an even number of hexadecimal digits.
Result<std::string> fromHex(const std::string& hex);
std::string toBase64(std::string_view bytes);

struct ScryptCost {
  std::uint64_t n = 16384, r = 8, p = 1;
};
// 32 bytes as hex. BadInput: the cost is out of range (n a power of two up to 2^20, r and p at most 16): a manifest is
// a stranger's.
Result<std::string> scryptHex(const std::string& secret, const std::string& salt, ScryptCost cost);

}  // namespace rollback::mover
