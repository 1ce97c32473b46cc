#include "json/splitter.h"

namespace rollback::json {

LineSplitter::LineSplitter(OnLine onLine, std::size_t maxLine) : onLine_(std::move(onLine)), maxLine_(maxLine) {}

Result<bool> LineSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (carry_.size() + piece.size() > maxLine_) {
      return Error{ErrorCode::Protocol,
                   "reading a stream: a line is longer than " + std::to_string(maxLine_) + " bytes"};
    }
    if (end == std::string_view::npos) {
      carry_.append(piece);
      return true;
    }
    bytes.remove_prefix(end + 1);
    std::string_view line = piece;
    if (!carry_.empty()) line = carry_.append(piece);
    const bool more = line.empty() || onLine_(line);
    carry_.clear();
    if (!more) return false;
  }
  return true;
}

}  // namespace rollback::json
