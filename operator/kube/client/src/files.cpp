#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace rollback::kube {

namespace {
constexpr std::size_t kMaxFile = 16u << 20;
}

Result<std::string> readFile(const std::string& path) {
  const auto failed = [&](int fault) {
    return Error{fault == ENOENT ? ErrorCode::NotFound : ErrorCode::BadInput,
                 "reading the file " + path + ": " + std::strerror(fault)};
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return failed(errno);
  std::string text;
  char piece[16384];
  while (true) {
    errno = 0;
    const std::size_t got = std::fread(piece, 1, sizeof piece, file.get());
    text.append(piece, got);
    if (text.size() > kMaxFile) return failed(EFBIG);
    if (got == sizeof piece) continue;
    if (std::ferror(file.get()) != 0) return failed(errno);
    return text;
  }
}

Result<std::string> RotatingFile::read() {
  const MonoTime now = clock_.now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (content_ && now - content_->at < period_) return content_->text;
  }
  auto text = readFile(path_);
  if (text && text->find_first_not_of(" \t\r\n") == std::string::npos) {
    text = Error{ErrorCode::BadInput, "reading the file " + path_ + ": it is empty"};
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (text) {
    // Another thread may have read later than this one and finished earlier.
    if (!content_ || content_->at <= now) content_ = Content{*text, now};
    return content_->text;
  }
  if (content_) return content_->text;
  return text.error();
}

void RotatingFile::forget(MonoTime before) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (content_ && content_->at <= before) content_.reset();
}

}  // namespace rollback::kube
