#include "base/result.h"

namespace rollback {

const char* toString(ErrorCode code) {
  switch (code) {
    case ErrorCode::BadInput:
      return "BadInput";
    case ErrorCode::NotFound:
      return "NotFound";
    case ErrorCode::AlreadyExists:
      return "AlreadyExists";
    case ErrorCode::Conflict:
      return "Conflict";
    case ErrorCode::Invalid:
      return "Invalid";
    case ErrorCode::Unauthorized:
      return "Unauthorized";
    case ErrorCode::Forbidden:
      return "Forbidden";
    case ErrorCode::Expired:
      return "Expired";
    case ErrorCode::TooManyRequests:
      return "TooManyRequests";
    case ErrorCode::Unavailable:
      return "Unavailable";
    case ErrorCode::Timeout:
      return "Timeout";
    case ErrorCode::ConnectionLost:
      return "ConnectionLost";
    case ErrorCode::Cancelled:
      return "Cancelled";
    case ErrorCode::Fenced:
      return "Fenced";
    case ErrorCode::Tls:
      return "Tls";
    case ErrorCode::Protocol:
      return "Protocol";
    case ErrorCode::Internal:
      return "Internal";
  }
  return "Internal";
}

}  // namespace rollback
