// Versions as image tags.
#pragma once

#include <string>

namespace rollback::reconcilers {

// The version an image reference means: its tag, unless that names no fixed version ("latest", "stable", "next", …) or
// there is none. "repo:1.2@sha256:…" is 1.2. Empty: the image does not say.
std::string versionOf(const std::string& image);

// The image without tag and digest.
std::string repositoryOf(const std::string& image);

// The same image with another tag; a digest behind the tag is dropped, because it belongs to the old one.
std::string withTag(const std::string& image, const std::string& tag);

// <0, 0, >0. Dotted numbers compare as numbers, a pre-release ("-rc.1") is lower than its release, a leading "v" does
// not count, the rest compares as text (semver.org §11).
int compareVersions(const std::string& a, const std::string& b);

// Whether both begin with dotted numbers, and with different ones: "1.2.0" and "1.3.0-rc.1", but neither "1.2-web" and
// "1.2-worker" nor "1.2" and "nightly", nor "1" and "1.2", which may be the same.
bool differentReleases(const std::string& a, const std::string& b);

}  // namespace rollback::reconcilers
