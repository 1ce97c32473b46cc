#include "mover/database.h"

#include <cstdlib>

namespace rollback::mover {

std::string sqlState(const Error& error) {
  if (error.reason.size() != 5) return {};
  for (char c : error.reason)
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))) return {};
  return error.reason;
}

bool connectionLost(const Error& error) {
  if (error.code == ErrorCode::ConnectionLost || error.code == ErrorCode::Timeout) return true;
  const std::string state = sqlState(error);
  return state.compare(0, 2, "08") == 0 ||
         state.compare(0, 3, "57P") == 0;  // connection exceptions, server shutting down
}

const std::string& text(const Row& row, std::size_t column) {
  static const std::string none;
  return column < row.size() && row[column] ? *row[column] : none;
}

long long number(const Row& row, std::size_t column) { return std::strtoll(text(row, column).c_str(), nullptr, 10); }

bool truth(const Row& row, std::size_t column) { return text(row, column) == "t"; }

}  // namespace rollback::mover
