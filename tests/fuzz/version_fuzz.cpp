// Versions and image references. Input: three texts, parted by lines of "---".
#include "common/version.h"
#include "fuzz.h"

void rollback::fuzz::one(std::string_view input) {
  using namespace reconcilers;
  const auto v = parts(input, 3);
  const auto sign = [](int order) { return (order > 0) - (order < 0); };
  for (const auto& a : v) {
    require(compareVersions(a, a) == 0, "a version equals itself");
    for (const auto& b : v) {
      const int order = sign(compareVersions(a, b));
      require(order == -sign(compareVersions(b, a)), "either way round, the same order");
      for (const auto& c : v) {
        const int next = sign(compareVersions(b, c));
        if (order <= 0 && next <= 0)
          require(sign(compareVersions(a, c)) == std::min(order, next), "an order that carries over");
      }
    }
  }
  // An image: whatever stands there, the tag that is set is the tag that is read.
  const std::string tagged = withTag(v[0], "1.2.3");
  require(versionOf(tagged) == "1.2.3", "the tag that was set");
  require(withTag(tagged, "1.2.3") == tagged, "set twice is set once");
  require(versionOf(tagged + "@sha256:abc") == "1.2.3", "the digest behind it is none");
  require(versionOf(withTag(tagged, "latest")).empty(), "a tag that moves is no version");
  (void)versionOf(v[1]);
}
