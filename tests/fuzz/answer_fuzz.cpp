// What an API server or a proxy answers: Status bodies, Retry-After, and times. Input: body, header, time, parted by
// "---".
#include "base/clock.h"
#include "fuzz.h"
#include "kube/client/errors.h"

void rollback::fuzz::one(std::string_view input) {
  const auto text = parts(input, 3);
  for (const int status : {200, 301, 404, 409, 410, 429, 500, 503}) {
    const Error error = kube::statusError(status, text[0], {{"retry-after", text[1]}});
    require(error.httpStatus == status && !error.message.empty(), "an error says what was answered");
    require(error.message.size() <= 3000, "a message has an end");
    if (error.retryAfter)
      require(error.retryAfter->count() >= 0 && error.retryAfter->count() <= 86400, "a wait has one, too");
  }
  WallTime at{};
  if (!parseTime(text[2], at)) {
    require(at == WallTime{}, "what is no time changes nothing");
    return;
  }
  WallTime again{};
  require(parseTime(formatMicroTime(at), again) && again == at, "a time is written so that it is read alike");
  require(parseTime(formatTime(at), again) && again <= at && at - again < std::chrono::seconds(1),
          "or cut to the second");
}
