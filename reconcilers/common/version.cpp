#include "common/version.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace rollback::reconcilers {
namespace {

// Position of the tag's colon in `image`, npos if it has no tag. A colon before the last slash is a registry's port.
std::size_t tagColon(const std::string& image) {
  const std::string name = image.substr(0, image.find('@'));
  const auto slash = name.rfind('/');
  const auto colon = name.rfind(':');
  return colon == std::string::npos || (slash != std::string::npos && colon < slash) ? std::string::npos : colon;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (;;) {
    const auto to = text.find(at, from);
    parts.push_back(text.substr(from, to == std::string::npos ? to : to - from));
    if (to == std::string::npos) return parts;
    from = to + 1;
  }
}

bool isNumber(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

int sign(int value) { return (value > 0) - (value < 0); }

int compareField(const std::string& a, const std::string& b) {
  if (isNumber(a) && isNumber(b)) {
    const auto strip = [](const std::string& n) { return n.substr(std::min(n.find_first_not_of('0'), n.size() - 1)); };
    const std::string x = strip(a), y = strip(b);
    return x.size() != y.size() ? (x.size() < y.size() ? -1 : 1) : sign(x.compare(y));
  }
  if (isNumber(a) != isNumber(b)) return isNumber(a) ? -1 : 1;
  return sign(a.compare(b));
}

// `absentIsZero`: a field that is not there counts as 0 ("1.2" is "1.2.0"); otherwise fewer fields come first ("rc"
// before "rc.0").
int compareFields(const std::string& a, const std::string& b, bool absentIsZero) {
  const auto x = split(a, '.'), y = split(b, '.');
  for (std::size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    if (!absentIsZero && (i >= x.size() || i >= y.size())) return x.size() < y.size() ? -1 : 1;
    const std::string p = i < x.size() ? x[i] : "0", q = i < y.size() ? y[i] : "0";
    if (const int order = compareField(p, q)) return order;
  }
  return 0;
}

}  // namespace

std::string versionOf(const std::string& image) {
  const auto colon = tagColon(image);
  if (colon == std::string::npos) return {};
  const auto at = image.find('@');
  const std::string tag = image.substr(colon + 1, at == std::string::npos ? at : at - colon - 1);
  static constexpr std::array floating{"latest", "stable", "next", "edge", "nightly", "main", "master", "beta", "dev"};
  return std::any_of(floating.begin(), floating.end(), [&](const char* name) { return tag == name; }) ? std::string()
                                                                                                      : tag;
}

std::string repositoryOf(const std::string& image) {
  const auto colon = tagColon(image);
  return image.substr(0, colon == std::string::npos ? image.find('@') : colon);
}

std::string withTag(const std::string& image, const std::string& tag) { return repositoryOf(image) + ":" + tag; }

int compareVersions(const std::string& a, const std::string& b) {
  const auto parts = [](std::string v) {
    if (v.size() > 1 && (v[0] == 'v' || v[0] == 'V') && std::isdigit(static_cast<unsigned char>(v[1]))) v.erase(0, 1);
    v = v.substr(0, v.find('+'));
    const auto dash = v.find('-');
    return std::pair(v.substr(0, dash), dash == std::string::npos ? std::string() : v.substr(dash + 1));
  };
  const auto [release, pre] = parts(a);
  const auto [otherRelease, otherPre] = parts(b);
  if (const int order = compareFields(release, otherRelease, true)) return order;
  if (pre.empty() != otherPre.empty()) return pre.empty() ? 1 : -1;
  return compareFields(pre, otherPre, false);
}

bool differentReleases(const std::string& a, const std::string& b) {
  const auto numbers = [](const std::string& version) {
    const std::string core = version.substr(version.rfind('v', 0) == 0 ? 1 : 0);
    const std::string before = core.substr(0, core.find_first_of("-+"));
    const auto fields = split(before, '.');
    return std::all_of(fields.begin(), fields.end(), isNumber) ? fields : std::vector<std::string>();
  };
  const auto x = numbers(a), y = numbers(b);
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
    if (compareField(x[i], y[i]) != 0) return true;
  return false;
}

}  // namespace rollback::reconcilers
