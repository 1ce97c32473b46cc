#include "apply_body.h"

#include <charconv>
#include <cstdint>

namespace rollback::kube {

namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
};

// Of the UTF-8 at the beginning of `text`, which is not empty; one byte by itself if there is none.
CodePoint decode(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(text[i]); };
  const std::size_t bytes = byte(0) < 0xC0 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (bytes == 1 || text.size() < bytes) return {byte(0), 1};
  std::uint32_t value = byte(0) & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {byte(0), 1};
    value = value << 6 | (byte(i) & 0x3F);
  }
  return {value, bytes};
}

bool strangeToYaml(std::uint32_t c) {
  return (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF;
}

void appendEscape(std::string& out, std::uint32_t c) {
  static const char* const kHex = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[c >> shift & 15];
}

// The number in \uXXXX at the beginning of `text`, -1 if there is none.
std::int32_t escapeAt(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return -1;
  std::int32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data() + 2, text.data() + 6, value, 16);
  return fault == std::errc() && end == text.data() + 6 && value >= 0 ? value : -1;
}

// Takes a surrogate pair off the beginning of `text`; false if there is none.
bool takePair(std::string_view& text, std::string& out) {
  const std::int32_t high = escapeAt(text);
  if (high < 0xD800 || high > 0xDBFF) return false;
  const std::int32_t low = escapeAt(text.substr(6));
  if (low < 0xDC00 || low > 0xDFFF) return false;
  const std::uint32_t c = 0x10000u + ((std::uint32_t(high) - 0xD800u) << 10) + (std::uint32_t(low) - 0xDC00u);
  out += char(0xF0 | c >> 18);
  out += char(0x80 | (c >> 12 & 0x3F));
  out += char(0x80 | (c >> 6 & 0x3F));
  out += char(0x80 | (c & 0x3F));
  text.remove_prefix(12);
  return true;
}

}  // namespace

std::string yamlSafeJson(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 16);
  while (!json.empty()) {
    if (json.front() == '\\' && json.size() > 1) {
      if (takePair(json, out)) continue;
      if (json[1] != '/') out += '\\';
      out += json[1];
      json.remove_prefix(2);
      continue;
    }
    const CodePoint c = decode(json);
    // A lone byte over 0x7F is no character; the server shall see and refuse it.
    if (strangeToYaml(c.value) && (c.bytes > 1 || c.value == 0x7F)) {
      appendEscape(out, c.value);
    } else {
      out += json.substr(0, c.bytes);
    }
    json.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace rollback::kube
