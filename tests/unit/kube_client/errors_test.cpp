// Which Error an answer becomes.
#include "kube/client/errors.h"

#include <catch2/catch.hpp>

namespace rollback::kube {
namespace {

using Catch::Matchers::Contains;

std::string statusBody(int code, const std::string& reason, const std::string& details = "null",
                       const std::string& message = "because") {
  return R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":")" + message +
         R"(","reason":")" + reason + R"(","details":)" + details + R"(,"code":)" + std::to_string(code) + "}";
}

TEST_CASE("the reason of a Status decides the code, whatever the HTTP status") {
  struct Row {
    int http;
    const char* reason;
    ErrorCode code;
  };
  const Row rows[] = {
      {401, "Unauthorized", ErrorCode::Unauthorized},
      {403, "Forbidden", ErrorCode::Forbidden},
      {404, "NotFound", ErrorCode::NotFound},
      {409, "AlreadyExists", ErrorCode::AlreadyExists},
      {409, "Conflict", ErrorCode::Conflict},
      {410, "Gone", ErrorCode::Expired},
      {410, "Expired", ErrorCode::Expired},
      {422, "Invalid", ErrorCode::Invalid},
      {500, "ServerTimeout", ErrorCode::Timeout},
      {504, "Timeout", ErrorCode::Timeout},
      {429, "TooManyRequests", ErrorCode::TooManyRequests},
      {400, "BadRequest", ErrorCode::BadInput},
      {405, "MethodNotAllowed", ErrorCode::BadInput},
      {406, "NotAcceptable", ErrorCode::BadInput},
      {413, "RequestEntityTooLarge", ErrorCode::BadInput},
      {415, "UnsupportedMediaType", ErrorCode::BadInput},
      {500, "InternalError", ErrorCode::Unavailable},
      {503, "ServiceUnavailable", ErrorCode::Unavailable},
      {500, "StoreReadError", ErrorCode::Unavailable},
      {500, "NotFound", ErrorCode::NotFound},      // the reason wins
      {409, "SomethingNew", ErrorCode::Conflict},  // an unknown one does not
  };
  for (const Row& row : rows) {
    INFO(row.http << " " << row.reason);
    const Error error = statusError(row.http, statusBody(row.http, row.reason), {});
    CHECK(toString(error.code) == std::string(toString(row.code)));
    CHECK(error.httpStatus == row.http);
    CHECK(error.reason == row.reason);
    CHECK_FALSE(error.retryAfter);
    CHECK_THAT(error.message, Contains("because") && Contains(row.reason));
  }
}

TEST_CASE("given an answer that is no Status, then the HTTP status decides and the body is not quoted") {
  struct Row {
    int http;
    ErrorCode code;
  };
  const Row rows[] = {{301, ErrorCode::Protocol},    {400, ErrorCode::BadInput},    {401, ErrorCode::Unauthorized},
                      {403, ErrorCode::Forbidden},   {404, ErrorCode::NotFound},    {409, ErrorCode::Conflict},
                      {410, ErrorCode::Expired},     {422, ErrorCode::Invalid},     {429, ErrorCode::TooManyRequests},
                      {502, ErrorCode::Unavailable}, {503, ErrorCode::Unavailable}, {504, ErrorCode::Timeout},
                      {418, ErrorCode::BadInput},    {100, ErrorCode::Protocol}};
  for (const Row& row : rows) {
    for (const char* body : {"<html>s3cret</html>", "", "[]", "null",
                             R"({"kind":"Secret","reason":"NotFound","data":"s3cret"})", R"({"kind":"Status")"}) {
      INFO(row.http << " " << body);
      const Error error = statusError(row.http, body, {});
      CHECK(toString(error.code) == std::string(toString(row.code)));
      CHECK(error.reason.empty());
      CHECK_THAT(error.message, !Contains("s3cret") && !Contains("html"));
    }
  }
  CHECK_THAT(statusError(302, "", {}).message, Contains("redirects are not followed"));
}

TEST_CASE("how long to wait is read from the header, else from the details") {
  struct Row {
    const char* header;
    const char* details;
    int seconds;  // -1: nothing
  };
  const Row rows[] = {
      {"5", "null", 5},
      {"0", "null", 0},
      {"5", R"({"retryAfterSeconds":9})", 5},
      {"", R"({"retryAfterSeconds":9})", 9},
      {"", R"({"retryAfterSeconds":0})", -1},
      {"", R"({"retryAfterSeconds":"9"})", -1},
      {"", "[]", -1},
      {"Tue, 24 Nov 2026 03:00:00 GMT", "null", -1},
      {"-1", "null", -1},
      {"5 ", "null", -1},
      {"99999999999999999999", "null", -1},
      {"999999999", "null", 86400},
  };
  for (const Row& row : rows) {
    INFO("header '" << row.header << "' details " << row.details);
    http::Headers headers;
    if (*row.header != '\0') headers.emplace_back("retry-after", row.header);
    const Error error = statusError(429, statusBody(429, "TooManyRequests", row.details), headers);
    if (row.seconds < 0) {
      CHECK_FALSE(error.retryAfter);
    } else {
      REQUIRE(error.retryAfter);
      CHECK(error.retryAfter->count() == row.seconds);
    }
  }
}

TEST_CASE("a resourceVersion from the future is Expired, in the spelling of every server age") {
  const Error present = statusError(
      504,
      statusBody(
          504, "Timeout",
          R"({"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1})"),
      {});
  const Error cause =
      statusError(504, statusBody(504, "Timeout", R"({"causes":[{"message":"Too large resource version"}]})"), {});
  const Error message =
      statusError(504, statusBody(504, "Timeout", "{}", "Too large resource version: 9, current: 5"), {});
  for (const Error& error : {present, cause, message}) {
    CHECK(error.code == ErrorCode::Expired);
    CHECK(error.reason == kTooLargeResourceVersion);
  }
  // The words alone mean nothing where they are not a timeout's.
  CHECK(statusError(400, statusBody(400, "BadRequest", "{}", "Too large resource version"), {}).code ==
        ErrorCode::BadInput);
  CHECK(statusError(504, statusBody(504, "Timeout"), {}).code == ErrorCode::Timeout);
}

TEST_CASE("a message of any length and a Status of odd types do no harm") {
  const Error error = statusError(
      422, statusBody(422, "Invalid", "null", std::string(2047, 'a') + "\xC3\xA4" + std::string(5000, 'b')), {});
  CHECK(error.message.size() < 2200);
  CHECK_THAT(error.message, Catch::Matchers::EndsWith("a…"));
  for (const char* body : {R"({"kind":"Status","reason":5,"message":{},"details":{"causes":{}}})",
                           R"({"kind":"Status","details":{"causes":[1,null,{"reason":7}]}})",
                           R"({"kind":"Status","details":"x"})", R"({"kind":"Status"})"}) {
    INFO(body);
    CHECK(statusError(409, body, {}).code == ErrorCode::Conflict);
  }
}

}  // namespace
}  // namespace rollback::kube
