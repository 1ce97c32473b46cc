#include "base/result.h"

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace rollback {
namespace {

const std::vector<ErrorCode> everyCode = {ErrorCode::BadInput,    ErrorCode::NotFound, ErrorCode::AlreadyExists,
                                          ErrorCode::Conflict,    ErrorCode::Invalid,  ErrorCode::Unauthorized,
                                          ErrorCode::Forbidden,   ErrorCode::Expired,  ErrorCode::TooManyRequests,
                                          ErrorCode::Unavailable, ErrorCode::Timeout,  ErrorCode::ConnectionLost,
                                          ErrorCode::Cancelled,   ErrorCode::Fenced,   ErrorCode::Tls,
                                          ErrorCode::Protocol,    ErrorCode::Internal};

Result<std::unique_ptr<int>> half(int of) {
  if (of % 2 != 0) return Error{ErrorCode::BadInput, "halving " + std::to_string(of) + ": it is odd"};
  return std::make_unique<int>(of / 2);
}

Result<void> even(int number) {
  if (auto halved = half(number); !halved) return halved.error();
  return {};
}

TEST_CASE("Given every error code, when named, then the names are different and none is empty") {
  std::set<std::string> names;
  for (const ErrorCode each : everyCode) names.insert(toString(each));
  CHECK(names.size() == everyCode.size());
  CHECK(names.count("") == 0);
  CHECK(toString(ErrorCode::TooManyRequests) == std::string("TooManyRequests"));
}

TEST_CASE("Given a value that can only be moved, when it is returned as a result, then it can be moved out") {
  auto result = half(8);
  REQUIRE(result.ok());
  REQUIRE(result);
  CHECK(**result == 4);
  const std::unique_ptr<int> taken = *std::move(result);
  CHECK(*taken == 4);
}

TEST_CASE("Given a failure, when it is passed through results of other types, then code and message arrive") {
  const auto result = even(7);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::BadInput);
  CHECK(result.error().message == "halving 7: it is odd");
  CHECK(result.error().httpStatus == 0);
  CHECK_FALSE(result.error().retryAfter.has_value());
  CHECK(even(6).ok());
}

TEST_CASE("Given a result with a struct, when a member is reached with an arrow, then it is the value's") {
  Result<std::string> result = std::string("job-0");
  CHECK(result->size() == 5);
  result->push_back('1');
  CHECK(*result == "job-01");
}

}  // namespace
}  // namespace rollback
