// Files that somebody else rewrites while we run: projected tokens, CA bundles, certificates.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::kube {

// The whole file, at most 16 MiB. NotFound if it is not there; BadInput, naming the path, if it cannot be read.
Result<std::string> readFile(const std::string& path);

// A file's content, read again when it is older than `period`. While the file is missing, unreadable or empty (a
// rotation in progress) the last good content is given. Thread-safe; no lock is held while reading.
class RotatingFile {
 public:
  RotatingFile(std::string path, Millis period, const Clock& clock)
      : path_(std::move(path)), period_(period), clock_(clock) {}

  Result<std::string> read();
  // What was read at `before` or earlier is not good any more: the next read must succeed.
  void forget(MonoTime before);
  const std::string& path() const { return path_; }

 private:
  struct Content {
    std::string text;
    MonoTime at;
  };
  const std::string path_;
  const Millis period_;
  const Clock& clock_;
  std::mutex mutex_;  // guards content_
  std::optional<Content> content_;
};

}  // namespace rollback::kube
