// Versions as image tags: what an image says, and which of two is newer.
#include <catch2/catch.hpp>

#include "common/version.h"

using rollback::reconcilers::compareVersions;
using rollback::reconcilers::differentReleases;
using rollback::reconcilers::versionOf;
using rollback::reconcilers::withTag;

TEST_CASE(
    "Given an image reference, when asked for its version, then it is the tag, unless that names no fixed version") {
  struct Case {
    const char* image;
    const char* version;
  };
  const auto c = GENERATE(Case{"n8nio/n8n:1.64.0", "1.64.0"}, Case{"registry:5000/shop:2.0.0", "2.0.0"},
                          Case{"registry:5000/shop", ""}, Case{"shop", ""}, Case{"shop:1.0.0@sha256:abc", "1.0.0"},
                          Case{"shop@sha256:abc", ""}, Case{"shop:latest", ""}, Case{"shop:stable", ""},
                          Case{"shop:next", ""}, Case{"", ""});
  INFO(c.image);
  REQUIRE(versionOf(c.image) == c.version);
}

TEST_CASE("Given an image, when it gets another tag, then registry and name stay and a digest goes with the old tag") {
  struct Case {
    const char* image;
    const char* result;
  };
  const auto c = GENERATE(Case{"registry:5000/a/shop:2.0.0", "registry:5000/a/shop:1.0.0"}, Case{"shop", "shop:1.0.0"},
                          Case{"shop:2.0.0@sha256:abc", "shop:1.0.0"}, Case{"shop@sha256:abc", "shop:1.0.0"},
                          Case{"registry:5000/shop@sha256:abc", "registry:5000/shop:1.0.0"});
  INFO(c.image);
  REQUIRE(withTag(c.image, "1.0.0") == c.result);
}

TEST_CASE("Given two versions, when compared, then numbers count as numbers and a pre-release is before its release") {
  struct Case {
    const char* lower;
    const char* higher;
  };
  const auto c = GENERATE(Case{"1.9.0", "1.10.0"}, Case{"1.0.0-rc.1", "1.0.0"}, Case{"1.0.0-rc.2", "1.0.0-rc.10"},
                          Case{"1.0.0-alpha", "1.0.0-beta"}, Case{"1.0.0-1", "1.0.0-alpha"},
                          Case{"1.0.0-rc", "1.0.0-rc.0"}, Case{"v1.0.0", "1.0.1"}, Case{"1.0", "1.0.1"},
                          Case{"1.123.0", "2.0.0"}, Case{"99999999999999999999", "100000000000000000000"});
  INFO(c.lower << " < " << c.higher);
  REQUIRE(compareVersions(c.lower, c.higher) < 0);
  REQUIRE(compareVersions(c.higher, c.lower) > 0);
}

TEST_CASE("Given two ways to write one version, when compared, then they are equal") {
  struct Case {
    const char* a;
    const char* b;
  };
  const auto c = GENERATE(Case{"1.0.0", "v1.0.0"}, Case{"1.0", "1.0.0"}, Case{"1.0.0+build1", "1.0.0+build2"},
                          Case{"01.0.0", "1.0.0"});
  INFO(c.a << " = " << c.b);
  REQUIRE(compareVersions(c.a, c.b) == 0);
}

TEST_CASE("Given two versions, when compared by release, then only numbers that differ are different releases") {
  for (const auto& [a, b] : {std::pair("1.2.0", "1.3.0"), {"v1.2", "1.3.1"}, {"1.2.0-alpine", "1.2.1-alpine"}}) {
    INFO(a << " and " << b);
    CHECK(differentReleases(a, b));
    CHECK(differentReleases(b, a));
  }
  for (const auto& [a, b] : {std::pair("1.2.0", "v1.2.0"),
                             {"1.2", "1.2.1"},
                             {"1.2-web", "1.2-worker"},
                             {"1.2.0", "1.2.0-rc.1"},
                             {"1.2", "nightly"},
                             {"web-1.2", "worker-1.3"},
                             {"", "1.2"},
                             {"", ""}}) {
    INFO(a << " and " << b);
    CHECK_FALSE(differentReleases(a, b));
    CHECK_FALSE(differentReleases(b, a));
  }
}
