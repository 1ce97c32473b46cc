// What every fuzzer shares: one function that is given bytes, and properties that must hold for all of them. A property
// that does not hold ends the process with its story, which libFuzzer takes as a crash and keeps the input.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rollback::fuzz {

// The fuzzer's own: called for every input.
void one(std::string_view input);

inline void require(bool holds, const std::string& story) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %s\n", story.c_str());
  std::abort();
}

// The document that a text is, discarded if it is none. A zero byte ends nlohmann's own parse, whatever follows it.
inline nlohmann::json document(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return nlohmann::json(nlohmann::json::value_t::discarded);
  return nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
}

// Input that is several texts: parted by lines of "---". Always `count` of them, the last takes what is left.
inline std::vector<std::string> parts(std::string_view input, std::size_t count) {
  static constexpr std::string_view mark = "\n---\n";
  std::vector<std::string> out;
  while (out.size() + 1 < count) {
    const auto at = input.find(mark);
    out.emplace_back(input.substr(0, at));
    input = at == std::string_view::npos ? std::string_view() : input.substr(at + mark.size());
  }
  out.emplace_back(input);
  return out;
}

// Lengths for cutting an input in pieces, made from a number: the same number gives the same cuts.
class Cuts {
 public:
  explicit Cuts(std::string_view seed) {
    for (const char each : seed) state_ = (state_ ^ static_cast<unsigned char>(each)) * 1099511628211u;
  }
  // 1 to 16, mostly small: boundaries are where mistakes are.
  std::size_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    const auto many = static_cast<std::size_t>(state_ >> 60);
    return many < 12 ? 1 + many % 4 : 1 + many;
  }

 private:
  std::uint64_t state_ = 1469598103934665603u;
};

// How deep brackets are nested, those in strings counted too: an upper bound.
inline std::size_t depthAtMost(std::string_view text) {
  std::size_t depth = 0;
  for (const char each : text) depth += each == '{' || each == '[';
  return depth;
}

}  // namespace rollback::fuzz

// Each fuzzer is one file, so this is defined once.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rollback::fuzz::one(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
