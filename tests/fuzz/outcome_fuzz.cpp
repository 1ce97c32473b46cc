// The mover's channels: what one side says the other understands, within what the kubelet keeps; anything else is no
// crash. Input: termination message, log, secret, parted by lines of "---".
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "jobs/outcome.h"
#include "mover/outcome.h"

namespace rollback::fuzz {
namespace {

void said(const mover::Outcome& outcome, const std::string& token, const std::string& secret) {
  const auto report = mover::report(outcome, token, {secret});
  require(report.terminationMessage.size() <= 3072, "a termination message fits");
  const auto heard = reconcilers::decodeOutcome(report.terminationMessage);
  require(heard.ok(), "what the mover says is understood");
  require(heard->kind == reconcilers::Outcome::Kind(int(outcome.kind)), "success, refusal or failure");
  const auto early = reconcilers::lastOutcome("a line of a tool\n" + report.lastLine() + "\n");
  require(early.has_value() == report.resultLines.empty(), "the log ends with it, unless its result is in pieces");
  if (early) require(early->token == heard->token && early->result == heard->result, "the same in the log");
  if (outcome.result.empty()) return;
  std::string log = "a line of a tool\n";
  for (const auto& line : report.resultLines) {
    require(line.size() <= 8192, "a line that no runtime cuts");
    log += line + "\nFRB-PROGRESS {\"done\":1,\"total\":2,\"unit\":\"bytes\"}\n";
  }
  const auto wanted = nlohmann::json::parse(outcome.result);
  if (report.resultLines.empty()) {
    require(!heard->resultMissing && nlohmann::json::parse(heard->result) == wanted, "the result in the message");
    return;
  }
  const auto joined = reconcilers::joinResult(log, *heard);
  require(joined.ok() && *joined == outcome.result, "the result from the log");
  require(reconcilers::lastProgress(log)->progress.total == 2, "the progress from the log");
}

}  // namespace

void one(std::string_view input) {
  const auto text = parts(input, 3);
  const auto heard = reconcilers::decodeOutcome(text[0]);
  if (heard) {
    const auto joined = reconcilers::joinResult(text[1], *heard);
    if (joined) require(std::int64_t(joined->size()) == heard->resultSize, "nothing is taken for whole that is not");
  }
  (void)reconcilers::joinResult(text[1], {});
  (void)reconcilers::lastOutcome(text[1]);
  if (const auto progress = reconcilers::lastProgress(text[1]))
    require(text[1].find("FRB-PROGRESS ") != std::string::npos, "progress that was said");
  Error error = mover::problem(ErrorCode::BadInput, "BackupDamaged", text[0]);
  said(mover::refused(error), "token-1", text[2]);
  said(mover::failed(error), "token-1", text[2]);
  const nlohmann::json result = {{"text", text[0]}, {"more", text[1]}};
  std::string dumped = result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  said(mover::succeeded(dumped), "token-1", text[2]);
}

}  // namespace rollback::fuzz
