#include "json/splitter.h"

namespace rollback::json {

LineSplitter::LineSplitter(OnLine onLine, std::size_t maxLine) : onLine_(std::move(onLine)), maxLine_(maxLine) {}

Result<bool> LineSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto piece = bytes.substr(0, end);
    if (carry_.size() + piece.size() > maxLine_)
      return Error{ErrorCode::Protocol, "a line of the stream is longer than " + std::to_string(maxLine_) + " bytes"};
    if (end == std::string_view::npos) {
      carry_.append(piece);
      return true;
    }
    bytes.remove_prefix(end + 1);
    if (carry_.empty()) {
      if (!piece.empty() && !onLine_(piece)) return false;
    } else {
      carry_.append(piece);
      const std::string line = std::move(carry_);
      carry_.clear();
      if (!onLine_(line)) return false;
    }
  }
  return true;
}

}  // namespace rollback::json
